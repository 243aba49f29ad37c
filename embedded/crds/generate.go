package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/tools/go/packages"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/controller-tools/pkg/loader"
)

// module is an upstream module, pinned by the small module upstream/<pin> of its own. There is one pin
// for each because their dependencies (Kubernetes' API types above all, which end up in the CRDs) have
// to be those that upstream built with, and these differ.
type module struct {
	Path, Version, Dir string
	pin                string
}

func (m module) String() string { return m.Path + " " + m.Version }

func findModule(pin, path string) (module, error) {
	dir := filepath.Join("upstream", pin)
	// Unlike `go list -m` this also puts the files in place when they are not there yet.
	cmd := exec.Command("go", "mod", "download", "-json", path)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return module{}, fmt.Errorf("%s: %w\n%s", path, err, out)
	}
	m := module{pin: dir}
	return m, json.Unmarshal(out, &m)
}

// generate runs controller-gen's CRD generator over one package of the module.
func generate(m module, pkg string) ([]object, error) {
	none := 0
	var gen genall.Generator = crd.Generator{MaxDescLen: &none}
	runtime, err := genall.Generators{&gen}.ForRootsWithConfig(&packages.Config{Dir: m.pin}, m.Path+"/"+pkg)
	if err != nil {
		return nil, err
	}
	out := &collect{}
	runtime.OutputRules.Default = out
	if runtime.Run() { // true when it failed; it prints why
		return nil, errors.New("controller-gen failed")
	}
	crds, err := parse(out.Bytes())
	for _, crd := range crds {
		delete(child(crd, "metadata"), "annotations") // the generator's version, which a library does not know
	}
	return crds, err
}

// collect is an output rule that keeps all documents in memory.
type collect struct{ bytes.Buffer }

func (c *collect) Open(*loader.Package, string) (io.WriteCloser, error) { return c, nil }
func (c *collect) Close() error                                         { return nil }
