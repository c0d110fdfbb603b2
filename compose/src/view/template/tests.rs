use serde_json::json;

use super::{Column, Template};

fn rendered(template: &str) -> String {
    let value = json!({
        "ID": "0123456789ab",
        "Names": "web",
        "Running": true,
        "Ports": [80, 443],
        "Empty": [],
        "Null": {"Dns": null, "PidsLimit": null},
        "Labels": {"a": "1", "b.c": "2"},
        super::LABELS: {"a": "1", "b.c": "2"},
        "State": {"Status": "running", "Pid": 7},
        "Networks": {"front": {"IPAddress": "10.4.0.2"}, "back": {"IPAddress": "10.5.0.2"}},
        "Mounts": [{"Source": "/x", "RW": false}, {"Source": "/y", "RW": true}],
    });
    Template::parse(template)
        .and_then(|template| template.render(&value))
        .unwrap_or_else(|err| err.to_string())
}

#[test]
fn what_people_type_is_what_docker_prints() {
    for (template, text) in [
        ("{{.ID}}", "0123456789ab"),
        ("{{ .Names }}: {{.State.Status}}\n", "web: running\n"),
        ("{{json .State}}", r#"{"Pid":7,"Status":"running"}"#),
        ("{{.State | json}}", r#"{"Pid":7,"Status":"running"}"#),
        ("{{json .Names | printf \"%s!\"}}", "\"web\"!"),
        ("{{.Ports}} {{.Labels}} {{.Running}} {{.State.Pid}}", "[80 443] map[a:1 b.c:2] true 7"),
        ("{{index .Labels \"b.c\"}}{{index .Labels \"x\"}}{{index .Ports 1}}", "2443"),
        ("{{.State.Nothing}}", "<no value>"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{end}}", ""),
        ("{{.Null.Dns}} {{$.Null.PidsLimit}} {{len .Null.Dns}} {{json .Null.Dns}}", "[] <nil> 0 null"),
        ("{{range .Ports}}{{.}} {{end}}", "80 443 "),
        (
            "{{range $name, $net := .Networks}}{{$name}}={{$net.IPAddress}} {{end}}",
            "back=10.5.0.2 front=10.4.0.2 ",
        ),
        ("{{range .Networks}}{{.IPAddress}},{{end}}", "10.5.0.2,10.4.0.2,"),
        ("{{range .Mounts}}{{if .RW}}{{.Source}}{{end}}{{end}}", "/y"),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{range $i, $p := .Ports}}{{if $i}}, {{end}}{{$p}}{{end}}", "80, 443"),
        ("{{with .State}}{{.Pid}} {{$.Names}}{{end}}", "7 web"),
        ("{{with .Empty}}x{{else}}y{{end}}", "y"),
        ("{{if eq .State.Status \"paused\"}}p{{else if .Running}}r{{else}}o{{end}}!", "r!"),
        ("{{if and .Running (gt .State.Pid 5)}}yes{{end}}", "yes"),
        ("{{if not (or .Empty false)}}yes{{end}}", "yes"),
        ("{{$x := .Names}}{{upper $x}} {{title \"ab cd\"}}", "WEB Ab Cd"),
        ("{{len .Ports}} {{join (split \"a,b\" \",\") \"-\"}} {{truncate .ID 3}}", "2 a-b 012"),
        ("{{slice .ID 0 4}}{{printf \"[%5s|%-5s|%d%%]\" .Names .Names .State.Pid}}", "0123[  web|web  |7%]"),
        ("a {{- /* note */ -}} b {{- .Names -}} c", "abwebc"),
        ("{{`raw`}} {{\"q\\n\"}}{{println .Names}}", "raw q\nweb\n"),
        ("{{(index .Mounts 0).Source}}", "/x"),
        ("{{.Label \"b.c\"}}{{.Label \"x\"}}{{\"a\" | .Label}}", "21"),
        ("{{html \"<a b='c'> & \\\"\"}}", "&lt;a b=&#39;c&#39;&gt; &amp; &#34;"),
        ("{{js \"a'b=<\"}} {{urlquery \"a b/é\"}}", "a\\'b\\u003D\\u003C a+b%2F%C3%A9"),
        ("no template", "no template"),
        ("a{{.Variant}}b", "ab"),
    ] {
        assert_eq!(rendered(template), text, "{template}");
    }
}

#[test]
fn what_is_wrong_is_one_line() {
    for (template, line) in [
        ("{{.Nmae}}", "template: no field Nmae"),
        (
            "{{.ID}} {{.State.Health.Status}}",
            "template parsing error: template: :1:16: executing \"\" at <.State.Health.Status>: map has no entry \
             for key \"Health\"",
        ),
        ("{{.Label}}", "template: wrong number of args for Label: want 1 got 0"),
        ("{{", "template: {{: unclosed action"),
        ("{{.A", "template: {{.A: unclosed action"),
        ("{{if .A}}x", "template: {{if .A}}x: if: no {{end}}"),
        ("{{end}}", "template: {{end}}: unexpected {{end}}"),
        ("{{nothing .ID}}", "template: function \"nothing\" not defined"),
        ("{{join .ID}}", "template: wrong arguments for join"),
        ("{{index .Ports 9}}", "template: index out of range: 9"),
        ("{{$x}}", "template: undefined variable \"$x\""),
        ("{{\"a}}", "template: {{\"a}}: unterminated quoted string"),
        ("{{.ID | }}", "template: {{.ID | }}: missing value for command"),
        ("{{(.ID}}", "template: {{(.ID}}: unclosed left paren"),
        ("{{range .Names}}{{end}}", "template: range can't iterate over web"),
    ] {
        assert_eq!(rendered(template), line, "{template}");
    }
}

#[test]
fn columns_are_the_fields_that_stand_alone() {
    let template =
        Template::parse("{{.ID}}\t{{json .Names}}\t{{if .A}}{{.B}}{{end}}{{.Label \"a.b\"}}").unwrap();
    assert_eq!(template.columns(), [Column::Field("ID"), Column::Field("Names"), Column::Label("a.b")]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([{}.$| ()\"`a-z-]|\\{\\{|\\}\\}|if |end|range |else |:=|,|%|é){0,24}") {
        rendered(&text);
        rendered(&format!("{{{{{text}}}}}"));
    }
}
