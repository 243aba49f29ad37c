package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goodSource = `apiVersion: 1
datasources: [{name: Loki, uid: loki, type: loki, access: proxy, url: "http://loki:3100", isDefault: true}]`

const goodDashboard = `{"uid": "a", "title": "A", "panels": [{"datasource": {"type": "loki", "uid": "loki"}}]}`

func write(t *testing.T, source, dashboard string) string {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "provisioning")
	boards := filepath.Join(directory, "boards")
	for path, content := range map[string]string{
		"datasources/loki.yaml": source,
		"dashboards/files.yaml": "apiVersion: 1\nproviders: [{name: files, type: file, folder: F, options: {path: " + boards + "}}]",
		"boards/a.json":         dashboard,
	} {
		path = filepath.Join(directory, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func TestGoodFilesAreRead(t *testing.T) {
	all, err := load(write(t, goodSource, goodDashboard))
	if err != nil {
		t.Fatal(err)
	}
	if len(all.datasources) != 1 || len(all.dashboards) != 1 || all.dashboards[0].folder != "F" {
		t.Errorf("read %+v", all)
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ source, dashboard, reason string }{
		"no version":      {strings.Replace(goodSource, "apiVersion: 1", "", 1), goodDashboard, "apiVersion must be 1"},
		"not YAML":        {"apiVersion: [", goodDashboard, "is not YAML"},
		"other type":      {strings.Replace(goodSource, "type: loki", "type: tempo", 1), goodDashboard, "not tempo"},
		"no address":      {strings.Replace(goodSource, "http://loki:3100", "loki:3100", 1), goodDashboard, "url is no address"},
		"not JSON":        {goodSource, "{", "is not JSON"},
		"no title":        {goodSource, `{"uid": "a"}`, "uid and title"},
		"unknown source":  {goodSource, strings.Replace(goodDashboard, `"uid": "loki"`, `"uid": "other"`, 1), `uid "other"`},
		"other dashboard": {goodSource + "\n", `[]`, "is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(write(t, test.source, test.dashboard))
			if err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, wanted %q", err, test.reason)
			}
		})
	}
}
