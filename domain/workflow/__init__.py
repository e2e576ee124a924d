"""What runs next: the engine of a workflow, and the sections it is made of. Pure."""

from domain.workflow.engine import Engine
from domain.workflow.shape import Section, Shape, StepShape, Unit, sections_of

__all__ = ["Engine", "Section", "Shape", "StepShape", "Unit", "sections_of"]
