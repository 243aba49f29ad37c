package realnode

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	cgroupMount = "/sys/fs/cgroup"
	// cgroupRoot holds the cgroups of all pods.
	cgroupRoot = "platctl-lab"
)

// hierarchies are the directories in which cgroups are made: one in version 2, one
// for each controller in version 1.
func hierarchies() []string {
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers")); err == nil {
		return []string{cgroupMount}
	}
	entries, _ := os.ReadDir(cgroupMount)
	var found []string
	for _, entry := range entries {
		// Links are second names (cpu of cpu,cpuacct).
		if entry.IsDir() {
			found = append(found, filepath.Join(cgroupMount, entry.Name()))
		}
	}
	return found
}

func makeCgroups() error {
	for _, hierarchy := range hierarchies() {
		if err := os.MkdirAll(filepath.Join(hierarchy, cgroupRoot), 0o755); err != nil {
			return fmt.Errorf("make a cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroups is for when their processes have been killed; the kernel may need a
// moment until the last is gone.
func removeCgroups() {
	for _, hierarchy := range hierarchies() {
		root := filepath.Join(hierarchy, cgroupRoot)
		for range 100 {
			if removeCgroup(root) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// removeCgroup removes the innermost first: the files in a cgroup cannot be removed, so os.RemoveAll does not do.
func removeCgroup(dir string) bool {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			removeCgroup(filepath.Join(dir, entry.Name()))
		}
	}
	err := syscall.Rmdir(dir)
	return err == nil || err == syscall.ENOENT
}
