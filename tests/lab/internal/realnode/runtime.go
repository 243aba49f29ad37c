package realnode

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"platctl.dev/lab/internal/image"
)

const (
	pauseImage = "lab.platctl.dev/pause:1"
	dnsImage   = "lab.platctl.dev/coredns:1"
)

// runtimeConfig is containerd's: its directories are the usual ones, which lead to
// the lab's. A container may not be made less likely to be killed than the lab
// itself, since that would take CAP_SYS_RESOURCE, which a virtual machine's root may lack.
const runtimeConfig = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
`

// startRuntime starts containerd and gives it the node's own images.
func (n *Node) startRuntime(ctx context.Context) error {
	file := n.path("containerd.toml")
	content := fmt.Sprintf(runtimeConfig, pauseImage, n.path("plugins"), n.path("cni"))
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		return err
	}
	n.unit("containerd", true, "containerd", "--config", file).Start()
	err := await(ctx, 30*time.Second, "containerd", func() error {
		return n.runInside(ctx, "ctr", "version")
	})
	if err != nil {
		return fmt.Errorf("%w (see %s)", err, filepath.Join(n.dir, "logs", "containerd.log"))
	}
	for reference, program := range map[string]string{pauseImage: "pause", dnsImage: "coredns"} {
		if err := n.importProgram(ctx, reference, program); err != nil {
			return err
		}
	}
	return nil
}

// importProgram makes an image of a static program that stands beside the lab.
func (n *Node) importProgram(ctx context.Context, reference, program string) error {
	binary := filepath.Join(n.binDir, program)
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("the node needs %s: `tests/lab/build.sh %s` builds it", binary, program)
	}
	archive := n.path(program + ".tar")
	own := image.Image{Reference: reference, Entrypoint: []string{"/" + program}, Files: map[string]string{program: binary}}
	if err := own.Write(archive); err != nil {
		return err
	}
	defer os.Remove(archive)
	return n.importImage(ctx, archive)
}

// ImportImages gives containerd every archive of a directory.
func (n *Node) ImportImages(ctx context.Context, dir string) error {
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return fmt.Errorf("no images (*.tar) in %s", dir)
	}
	slices.Sort(archives)
	for _, archive := range archives {
		if err := n.importImage(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

// importImage keeps the name that the archive's index gives.
func (n *Node) importImage(ctx context.Context, archive string) error {
	return n.runInside(ctx, "ctr", "--namespace", "k8s.io", "images", "import", archive)
}

func (n *Node) runInside(ctx context.Context, words ...string) error {
	return run(ctx, append(n.enter(), words...)...)
}
