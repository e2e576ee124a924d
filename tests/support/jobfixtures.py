"""One job with nearly every field, in XML and in YAML."""

XML = """\
<?xml version='1.0' encoding='UTF-8'?>
<!-- a comment -->
<joblist>
  <job>
    <context>
      <project>elsewhere</project>
      <options preserveOrder='true'>
        <option name='zone' value='a&amp;b' values='x|y' valuesListDelimiter='|' enforcedvalues='true'
                required='true'>
          <label>Zone</label>
          <description><![CDATA[Two
lines]]></description>
        </option>
        <option name='file' type='file'>
          <config><entry key='k' value='v'/></config>
        </option>
      </options>
    </context>
    <dispatch>
      <keepgoing>true</keepgoing>
      <threadcount>4</threadcount>
    </dispatch>
    <nodefilters excludeprecedence='false'><filter>tags: web </filter></nodefilters>
    <nodesSelectedByDefault>false</nodesSelectedByDefault>
    <nodeFilterEditable>false</nodeFilterEditable>
    <description><![CDATA[]]></description>
    <group>/ops/web/</group>
    <id>u-1</id>
    <uuid>u-1</uuid>
    <logging limit='5MB' limitAction='truncate' status='big'/>
    <loglevel>DEBUG</loglevel>
    <name>Restart</name>
    <notification>
      <onfailure>
        <email recipients='a@example.org' subject='no'/>
        <webhook urls='http://x/?a=1&amp;b=2'/>
        <httpMethod>post</httpMethod>
        <format>json</format>
      </onfailure>
      <onsuccess>
        <plugin type='chat'>
          <configuration>
            <entry key='room' value='ops'/>
            <entry key='lines' value='3' type='json'/>
          </configuration>
        </plugin>
        <plugin type='other'/>
      </onsuccess>
    </notification>
    <plugins>
      <ExecutionLifecycle type='one'>
        <configuration data='true'><map><value key='a'>b</value></map></configuration>
      </ExecutionLifecycle>
      <ExecutionLifecycle type='two'/>
    </plugins>
    <retry delay='1m'>2</retry>
    <runnerSelector>
      <filter>LINUX</filter>
      <runnerFilterMode>TAGS</runnerFilterMode>
      <runnerFilterType>TAG_FILTER_AND</runnerFilterType>
    </runnerSelector>
    <schedule>
      <month month='*' day='5'/>
      <time hour='06' minute='30' seconds='0'/>
      <year year='*'/>
    </schedule>
    <schedules/>
    <sequence keepgoing='true' strategy='step-first'>
      <pluginConfig>
        <LogFilter type='key-value-data'><config><regex>a</regex><element name='x y'>z</element></config></LogFilter>
        <LogFilter type='quiet-output'><config/></LogFilter>
      </pluginConfig>
      <command>
        <description>first</description>
        <script><![CDATA[#!/bin/sh
echo "<$1>"
]]></script>
        <scriptargs>a b</scriptargs>
        <scriptinterpreter argsquoted='true'>sudo sh -c</scriptinterpreter>
        <errorhandler keepgoingOnSuccess='true'><exec>true</exec></errorhandler>
      </command>
      <command>
        <scriptfile>/a.sh</scriptfile>
        <scriptargs/>
        <plugins><LogFilter type='mask-passwords'/></plugins>
      </command>
      <command>
        <jobref name='other' group='g' nodeStep='true'>
          <arg line='-a b'/>
          <dispatch><threadcount>2</threadcount></dispatch>
          <nodefilters><filter>a</filter></nodefilters>
          <importOptions>true</importOptions>
        </jobref>
      </command>
      <command>
        <step-plugin type='sleep'>
          <configuration><entry key='s' value='1'/><entry key='t' value=''/></configuration>
        </step-plugin>
      </command>
    </sequence>
    <timeout>1h</timeout>
  </job>
</joblist>
"""

YAML = """\
- name: Restart
  group: ops/web
  uuid: u-1
  options:
  - {name: zone, value: a&b, values: [x, y], valuesListDelimiter: '|', enforced: true, required: true, label: Zone,
     description: "Two\\nlines"}
  - {name: file, type: file, config: {k: v}}
  nodefilters:
    filter: 'tags: web '
    dispatch: {keepgoing: true, threadcount: 4, excludePrecedence: false}
  nodesSelectedByDefault: false
  nodeFilterEditable: false
  loglimit: 5MB
  loglimitAction: truncate
  loglimitStatus: big
  loglevel: DEBUG
  notification:
    onfailure:
    - email: {recipients: a@example.org, subject: 'no'}
    - {urls: 'http://x/?a=1&b=2', httpMethod: post, format: json}
    onsuccess:
      plugin:
      - {type: chat, configuration: {room: ops, lines: 3}}
      - {type: other}
  plugins: {ExecutionLifecycle: {one: {a: b}, two: {}}}
  retry: {retry: 2, delay: 1m}
  runnerSelector: {filter: LINUX, runnerFilterMode: TAGS, runnerFilterType: TAG_FILTER_AND}
  schedule: {month: '*', dayofmonth: {day: '5'}, time: {hour: '06', minute: '30', seconds: '0'}, year: '*'}
  sequence:
    keepgoing: true
    strategy: sequential
    pluginConfig:
      LogFilter:
      - {type: key-value-data, config: {regex: a, x y: z}}
      - {type: quiet-output}
    commands:
    - description: first
      script: "#!/bin/sh\\necho \\"<$1>\\"\\n"
      args: a b
      scriptInterpreter: sudo sh -c
      interpreterArgsQuoted: true
      errorhandler: {exec: 'true', keepgoingOnSuccess: true}
    - scriptfile: /a.sh
      plugins: {LogFilter: [{type: mask-passwords}]}
    - jobref:
        name: other
        group: g
        nodeStep: 'true'
        args: -a b
        importOptions: true
        nodefilters: {filter: a, dispatch: {threadcount: 2}}
    - {type: sleep, nodeStep: false, configuration: {s: '1', t: ''}}
  timeout: 1h
"""
