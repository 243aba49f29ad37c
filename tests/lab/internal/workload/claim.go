package workload

import (
	"context"
	"os"
	"path/filepath"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// claim makes a pod's volume a link to a directory that lives as long as the
// lab: the next pod with the same claim finds the data of the last.
func (p *projection) claim(ctx context.Context, link, name string) error {
	if _, err := os.Stat(link); err == nil {
		return nil
	}
	claim, err := p.around.Client.CoreV1().PersistentVolumeClaims(p.pod.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return err
	}
	// A claim that was deleted and made again starts empty.
	dir := filepath.Join(p.around.Config.Dir, "run", "claims", claim.Namespace+"."+name+"."+string(claim.UID))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	return os.Symlink(dir, link)
}
