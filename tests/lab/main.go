// Lab runs a real Kubernetes control plane for platctl's tests: with simulated
// nodes, and beside it the real controllers that platctl installs; or with this
// machine as a real node. README.md tells what is real and what is not.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"platctl.dev/lab/internal/child"
	"platctl.dev/lab/internal/controlplane"
	"platctl.dev/lab/internal/image"
	"platctl.dev/lab/internal/policy"
	"platctl.dev/lab/internal/realnode"
)

const usage = `usage:
  lab up --dir DIR [--detach] [--nodes 3] [--pod-delay 300ms] [--pull-delay 0s] [--components all|none|LIST] [--bin DIR]
         [--kubernetes-version-string vX.Y.Z]
  lab up --dir DIR --node real [--images DIR] [--detach] [--bin DIR] [--kubernetes-version-string vX.Y.Z]
  lab down --dir DIR
  lab image --reference NAME --output FILE --entrypoint PATH PATH_IN_IMAGE=FILE...
`

func main() {
	// The container runtime starts the CNI plugin by its name, without arguments.
	if filepath.Base(os.Args[0]) == policy.PluginName {
		os.Exit(policy.Plugin(os.Stdin, os.Stdout, os.Getenv))
	}
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	name, args := os.Args[1], os.Args[2:]
	var err error
	switch name {
	case "up":
		err = up(args)
	case "down":
		err = down(args)
	case "image":
		err = image.Command(args)
	case realnode.SpaceCommand:
		err = realnode.RunSpace(args[0])
	case child.MountCommand:
		err = child.ExecWithMounts(args[0])
	case "help", "-h", "--help":
		fmt.Print(usage)
	default:
		code, known := controlplane.Run(name, args)
		if !known {
			fmt.Fprint(os.Stderr, usage)
			code = 2
		}
		os.Exit(code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}
