package workload

import (
	"path/filepath"
	"strings"

	core "k8s.io/api/core/v1"
)

// containers are those whose environment the process gets, the least important first.
func (l *Launch) containers() []core.Container {
	if before := l.initContainer(); before != nil {
		return []core.Container{*before, l.container}
	}
	return []core.Container{l.container}
}

func (l *Launch) initContainer() *core.Container {
	for i, container := range l.Pod.Spec.InitContainers {
		if container.Name == l.kind.Init {
			return &l.Pod.Spec.InitContainers[i]
		}
	}
	return nil
}

// command is the program and its arguments, behind a shell that runs the init
// container's command first if there is one.
func (l *Launch) command() (path string, args []string) {
	path, args = filepath.Join(l.BinDir, l.kind.Binary), l.arguments()
	before := l.initContainer()
	if before == nil {
		return path, args
	}
	var first []string
	for _, word := range append(append([]string{}, before.Command...), before.Args...) {
		first = append(first, l.At(word))
	}
	script := quote(first) + " && exec " + quote(append([]string{path}, args...))
	return "/bin/sh", []string{"-c", script}
}

func quote(words []string) string {
	var quoted []string
	for _, word := range words {
		quoted = append(quoted, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return strings.Join(quoted, " ")
}
