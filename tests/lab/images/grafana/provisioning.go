// The provisioning files: data sources and dashboards, read as Grafana reads them. What Grafana would only log, a broken
// dashboard for instance, is an error here: in the lab it is the chart that is being tested.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

type datasource struct {
	Name      string         `json:"name" yaml:"name"`
	UID       string         `json:"uid" yaml:"uid"`
	Type      string         `json:"type" yaml:"type"`
	Access    string         `json:"access" yaml:"access"`
	URL       string         `json:"url" yaml:"url"`
	IsDefault bool           `json:"isDefault" yaml:"isDefault"`
	JSONData  map[string]any `json:"jsonData" yaml:"jsonData"`
}

type provider struct {
	Name      string `yaml:"name"`
	Type      string `yaml:"type"`
	Folder    string `yaml:"folder"`
	FolderUID string `yaml:"folderUid"`
	Options   struct {
		Path string `yaml:"path"`
	} `yaml:"options"`
}

type dashboard struct {
	uid, title        string
	folder, folderUID string
	model             map[string]any
}

type provisioned struct {
	datasources []datasource
	dashboards  []dashboard
}

func load(directory string) (provisioned, error) {
	var all provisioned
	err := eachFile(filepath.Join(directory, "datasources"), []string{".yaml", ".yml"}, func(path string) error {
		var content struct {
			Datasources []datasource `yaml:"datasources"`
		}
		if err := readYAML(path, &content); err != nil {
			return err
		}
		all.datasources = append(all.datasources, content.Datasources...)
		return nil
	})
	if err != nil {
		return all, err
	}
	if err := checkDatasources(all.datasources); err != nil {
		return all, err
	}
	err = eachFile(filepath.Join(directory, "dashboards"), []string{".yaml", ".yml"}, func(path string) error {
		var content struct {
			Providers []provider `yaml:"providers"`
		}
		if err := readYAML(path, &content); err != nil {
			return err
		}
		for _, provider := range content.Providers {
			if err := all.addDashboards(provider); err != nil {
				return fmt.Errorf("provider %q: %w", provider.Name, err)
			}
		}
		return nil
	})
	return all, err
}

func checkDatasources(datasources []datasource) error {
	seen := map[string]bool{}
	defaults := 0
	for _, source := range datasources {
		fail := func(reason string) error { return fmt.Errorf("data source %q: %s", source.Name, reason) }
		switch {
		case source.Name == "" || source.UID == "":
			return fail("name and uid are needed")
		case seen["name "+source.Name] || seen["uid "+source.UID]:
			return fail("name or uid is there twice")
		case source.Access != "proxy":
			return fail("access must be proxy, the browser cannot reach the cluster's services")
		case source.Type != "loki":
			return fail("the stand-in has the type loki only, not " + source.Type)
		}
		address, err := url.Parse(source.URL)
		if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" {
			return fail("url is no address: " + source.URL)
		}
		seen["name "+source.Name], seen["uid "+source.UID] = true, true
		if source.IsDefault {
			defaults++
		}
	}
	if defaults > 1 {
		return errors.New("only one data source can be the default")
	}
	return nil
}

func (all *provisioned) addDashboards(provider provider) error {
	if provider.Name == "" || provider.Type != "" && provider.Type != "file" || provider.Options.Path == "" {
		return errors.New("a name, type file and options.path are needed")
	}
	return eachFile(provider.Options.Path, []string{".json"}, func(path string) error {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var model map[string]any
		if err := json.Unmarshal(content, &model); err != nil {
			return fmt.Errorf("%s is not JSON: %w", path, err)
		}
		read := dashboard{folder: provider.Folder, folderUID: provider.FolderUID, model: model}
		read.uid, _ = model["uid"].(string)
		read.title, _ = model["title"].(string)
		if read.uid == "" || read.title == "" {
			return fmt.Errorf("%s: uid and title are needed", path)
		}
		if slices.ContainsFunc(all.dashboards, func(other dashboard) bool {
			return other.uid == read.uid || other.title == read.title && other.folder == read.folder
		}) {
			return fmt.Errorf("%s: another dashboard has its uid or, in the same folder, its title", path)
		}
		if err := all.checkReferences(model); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		all.dashboards = append(all.dashboards, read)
		return nil
	})
}

// checkReferences looks, as deep as the model goes, for a data source that is not there.
func (all *provisioned) checkReferences(value any) error {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if err := all.checkReferences(item); err != nil {
				return err
			}
		}
	case map[string]any:
		if source, ok := value["datasource"].(map[string]any); ok {
			uid, _ := source["uid"].(string)
			// A variable, or Grafana's own.
			known := strings.HasPrefix(uid, "$") || strings.HasPrefix(uid, "-- ") || uid == "grafana" ||
				slices.ContainsFunc(all.datasources, func(known datasource) bool { return known.UID == uid })
			if !known {
				return fmt.Errorf("there is no data source with the uid %q", uid)
			}
		}
		for _, item := range value {
			if err := all.checkReferences(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func readYAML(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var version struct {
		APIVersion int `yaml:"apiVersion"`
	}
	if err := yaml.Unmarshal(content, &version); err != nil {
		return fmt.Errorf("%s is not YAML: %w", path, err)
	}
	// Without it Grafana reads the file by rules of its first releases.
	if version.APIVersion != 1 {
		return fmt.Errorf("%s: apiVersion must be 1", path)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// eachFile visits the files in order. A directory that is missing has none, as with Grafana.
func eachFile(directory string, suffixes []string, visit func(path string) error) error {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, os.ErrNotExist) && filepath.Base(filepath.Dir(directory)) == "provisioning" {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		// A mounted ConfigMap also has directories whose names begin with two dots; its files are links into them.
		if strings.HasPrefix(entry.Name(), ".") || !slices.Contains(suffixes, filepath.Ext(entry.Name())) {
			continue
		}
		if err := visit(filepath.Join(directory, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
