package main

import (
	"strings"
	"testing"
)

func TestDropDescriptionsKeepsPropertiesOfThatName(t *testing.T) {
	crds, err := parse([]byte(`
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  versions:
  - additionalPrinterColumns: [{name: Age, description: gone}]
    schema:
      openAPIV3Schema:
        description: gone
        properties:
          description: {type: string, description: gone, default: {description: stays}}
          default: {items: {oneOf: [{description: gone, not: {description: gone}}]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	content, err := finish(crds[0], "chart", "nowhere")
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	if strings.Contains(text, "gone") || !strings.Contains(text, `"description": {`) || !strings.Contains(text, `"description": "stays"`) {
		t.Errorf("wrong descriptions left:\n%s", text)
	}
}

func TestDifference(t *testing.T) {
	base := func() object {
		return object{"a": []any{object{"b": "c"}, true}, "n": nil}
	}
	for what, change := range map[string]func(object){
		"another value":  func(o object) { o["a"].([]any)[0].(object)["b"] = "d" },
		"another type":   func(o object) { o["a"].([]any)[0].(object)["b"] = object{} },
		"a map, no list": func(o object) { o["a"] = object{} },
		"a shorter list": func(o object) { o["a"] = []any{object{"b": "c"}} },
		"a missing key":  func(o object) { delete(o, "n") },
		"a further key":  func(o object) { o["x"] = nil },
	} {
		changed := base()
		change(changed)
		if difference("", base(), changed) == "" || difference("", changed, base()) == "" {
			t.Errorf("%s is not seen", what)
		}
	}
	if at := difference("", base(), base()); at != "" {
		t.Errorf("equal objects differ at %s", at)
	}
}
