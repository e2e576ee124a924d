"""Job files as they are written: the form, and that any definition comes back from each format as it was."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from domain.jobfile import FORMATS, read_job_file, write_job_file
from schemas.errors import RunbusError
from schemas.jobs import JobDefinition
from tests.support.definitions import definitions
from tests.support.jobfiles import one
from tests.support.jobfixtures import YAML


def check(job: JobDefinition) -> None:
    for form in FORMATS:
        text = write_job_file([job], form)
        assert read_job_file(text, project="p", file=f"f.{form}").jobs == [job], text


@pytest.mark.slow
@given(job=definitions())
@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
def test_any_definition_comes_back(job: JobDefinition) -> None:
    check(job)


def test_a_job_with_nearly_every_field_comes_back() -> None:
    check(one(YAML))


JOB = """\
- name: n
  group: g
  description: "one\\n\\ttwo \\nthree"
  nodefilters: {filter: 'tags: web', dispatch: {threadcount: 2}}
  options: [{name: o, values: [a, b], required: true}]
  sequence:
    commands:
    - script: "#!/bin/sh\\necho '<>'\\n"
      args: x
    - {type: t, nodeStep: false, configuration: {a: 1, b: text}}
"""


def test_yaml_is_as_the_original_writes_it() -> None:
    assert (
        write_job_file([one(JOB)], "yaml")
        == """\
- description: |-
    one
    \ttwo \n    three
  executionEnabled: true
  group: g
  loglevel: INFO
  name: n
  nodeFilterEditable: true
  nodefilters:
    dispatch:
      excludePrecedence: true
      keepgoing: false
      rankOrder: ascending
      successOnEmptyNodeFilter: false
      threadcount: '2'
    filter: 'tags: web'
  nodesSelectedByDefault: true
  options:
  - name: o
    required: true
    values:
    - a
    - b
    valuesListDelimiter: ','
  scheduleEnabled: true
  sequence:
    commands:
    - args: x
      script: |
        #!/bin/sh
        echo '<>'
    - configuration:
        a: 1
        b: text
      nodeStep: false
      type: t
    keepgoing: false
    strategy: node-first
"""
    )


def test_xml_is_as_the_original_writes_it() -> None:
    assert (
        write_job_file([one(JOB)], "xml")
        == """\
<joblist>
  <job>
    <description><![CDATA[one
\ttwo \nthree]]></description>
    <executionEnabled>true</executionEnabled>
    <group>g</group>
    <loglevel>INFO</loglevel>
    <name>n</name>
    <nodeFilterEditable>true</nodeFilterEditable>
    <dispatch>
      <excludePrecedence>true</excludePrecedence>
      <keepgoing>false</keepgoing>
      <rankOrder>ascending</rankOrder>
      <successOnEmptyNodeFilter>false</successOnEmptyNodeFilter>
      <threadcount>2</threadcount>
    </dispatch>
    <nodefilters>
      <filter>tags: web</filter>
    </nodefilters>
    <nodesSelectedByDefault>true</nodesSelectedByDefault>
    <context>
      <options preserveOrder='true'>
        <option name='o' required='true' values='a,b' valuesListDelimiter=','>
        </option>
      </options>
    </context>
    <scheduleEnabled>true</scheduleEnabled>
    <sequence keepgoing='false' strategy='node-first'>
      <command>
        <scriptargs>x</scriptargs>
        <script><![CDATA[#!/bin/sh
echo '<>'
]]></script>
      </command>
      <command>
        <step-plugin type='t'>
          <configuration>
            <entry key='a' value='1' type='json'/>
            <entry key='b' value='text'/>
          </configuration>
        </step-plugin>
      </command>
    </sequence>
  </job>
</joblist>
"""
    )


def test_a_made_uuid_is_not_exported_and_a_given_one_is() -> None:
    made, given_one = one(JOB), one(JOB + "  uuid: abc\n")
    for form in FORMATS:
        assert made.uuid not in write_job_file([made], form)
        assert "abc" in write_job_file([given_one], form)
        assert read_job_file(write_job_file([given_one], form), project="q").jobs[0].uuid == "abc"


def test_a_character_that_xml_cannot_hold_is_refused() -> None:
    job = one('name: n\ndescription: "\\a"\nsequence: {commands: [{exec: ls}]}\n')
    with pytest.raises(RunbusError, match=r"the character U\+0007 cannot stand in XML: export these jobs as YAML"):
        write_job_file([job], "xml")
    assert read_job_file(write_job_file([job], "yaml"), project="p").jobs == [job]
