// oci writes one OCI image tar from directories, the same bytes for the same content: entries are sorted, and all times
// are one. What goes into the directories is decided by ../recipes.sh.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

const usage = `usage: oci -output FILE -reference REF [-user U] [-workdir DIR] [-env K=V]... [-entrypoint JSON] [-cmd JSON] LAYER...

LAYER is a directory that becomes a layer, or DIR:BASE, the difference of DIR to BASE, the layers below it.
`

// settings is the part of an image's configuration that the charts rely on.
type settings struct {
	User       string   `json:"User,omitempty"`
	Env        []string `json:"Env,omitempty"`
	Entrypoint []string `json:"Entrypoint,omitempty"`
	Cmd        []string `json:"Cmd,omitempty"`
	WorkingDir string   `json:"WorkingDir,omitempty"`
}

type request struct {
	output, reference string
	settings          settings
	layers            []string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	request, err := parse()
	if err != nil {
		return err
	}
	blobs, err := os.MkdirTemp("", "oci-")
	if err != nil {
		return fmt.Errorf("cannot make a directory for the layers: %w", err)
	}
	defer os.RemoveAll(blobs)
	image := image{blobs: blobs}
	for _, layer := range request.layers {
		directory, base, _ := strings.Cut(layer, ":")
		if err := image.addLayer(directory, base); err != nil {
			return fmt.Errorf("cannot make a layer of %s: %w", directory, err)
		}
	}
	if err := image.write(request); err != nil {
		return fmt.Errorf("cannot write %s: %w", request.output, err)
	}
	return nil
}

func parse() (request, error) {
	request := request{settings: settings{
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}}
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.StringVar(&request.output, "output", "", "")
	flag.StringVar(&request.reference, "reference", "", "")
	flag.StringVar(&request.settings.User, "user", "", "")
	flag.StringVar(&request.settings.WorkingDir, "workdir", "/", "")
	flag.Func("env", "", func(value string) error {
		key, _, _ := strings.Cut(value, "=")
		request.settings.Env = slices.DeleteFunc(request.settings.Env, func(old string) bool {
			return strings.HasPrefix(old, key+"=")
		})
		request.settings.Env = append(request.settings.Env, value)
		return nil
	})
	words := func(into *[]string) func(string) error {
		return func(value string) error { return json.Unmarshal([]byte(value), into) }
	}
	flag.Func("entrypoint", "", words(&request.settings.Entrypoint))
	flag.Func("cmd", "", words(&request.settings.Cmd))
	flag.Parse()
	request.layers = flag.Args()
	if request.output == "" || !strings.Contains(request.reference, ":") || len(request.layers) == 0 {
		flag.Usage()
		return request, errors.New("-output, -reference with a tag, and a layer are needed")
	}
	return request, nil
}
