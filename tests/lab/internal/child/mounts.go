package child

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// MountCommand is the lab's own subcommand that a child with a root of its own
// goes through.
const MountCommand = "exec-with-mounts"

// Bind makes Source appear at Target.
type Bind struct{ Source, Target string }

// Root is the machine's file system with some directories put in place, seen as
// another user: what a container would see, without any privilege.
type Root struct {
	// Scratch is an empty directory to build on.
	Scratch string
	Binds   []Bind
	UID     int
	GID     int
}

type mountRequest struct {
	Root Root
	Dir  string
	Path string
	Args []string
}

// In makes the process of a spec run in such a root.
func (r Root) In(spec Spec) (Spec, error) {
	self, err := os.Executable()
	if err != nil {
		return spec, err
	}
	request, err := json.Marshal(mountRequest{r, spec.Dir, spec.Path, spec.Args})
	if err != nil {
		return spec, err
	}
	spec.Path, spec.Args, spec.Dir, spec.root = self, []string{MountCommand, string(request)}, r.Scratch, &r
	return spec, nil
}

// Supported tells whether the kernel lets this user make such roots.
func Supported() error {
	scratch, err := os.MkdirTemp("", "platctl-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	root := Root{Scratch: scratch, UID: 1000, GID: 1000, Binds: []Bind{{scratch, "/run/platctl-lab"}}}
	spec, err := root.In(Spec{Path: "/bin/true", Dir: "/"})
	if err != nil {
		return err
	}
	command := exec.Command(spec.Path, spec.Args...)
	command.SysProcAttr = &syscall.SysProcAttr{}
	root.namespaces(command.SysProcAttr)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w %s", err, output)
	}
	return nil
}

// namespaces maps the user that runs the lab to the user of the container. The
// ambient capabilities hold inside the new user namespace only, and only until
// ExecWithMounts gives them up.
func (r Root) namespaces(attributes *syscall.SysProcAttr) {
	attributes.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: r.UID, HostID: os.Getuid(), Size: 1}}
	attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: r.GID, HostID: os.Getgid(), Size: 1}}
	attributes.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT}
}

// ExecWithMounts is run inside the namespaces: it builds the root, enters it and
// becomes the program.
func ExecWithMounts(argument string) error {
	var request mountRequest
	if err := json.Unmarshal([]byte(argument), &request); err != nil {
		return err
	}
	root := request.Root
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", root.Scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount on %s: %w", root.Scratch, err)
	}
	for i := range root.Binds {
		root.Binds[i].Target = followLinks(root.Binds[i].Target)
	}
	if err := root.compose("/"); err != nil {
		return err
	}
	for _, bind := range root.Binds {
		if err := mountOver(bind.Source, filepath.Join(root.Scratch, bind.Target)); err != nil {
			return err
		}
	}
	if err := syscall.Chroot(root.Scratch); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	if err := os.Chdir(request.Dir); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return syscall.Exec(request.Path, append([]string{request.Path}, request.Args...), os.Environ())
}

// compose shows a directory of the machine in the new root: as it is, but entry by
// entry where a target lies below, because that may not exist on the machine.
func (r Root) compose(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		shown := filepath.Join(r.Scratch, path)
		switch {
		case r.isTarget(path):
		case entry.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if err := os.Symlink(target, shown); err != nil {
				return err
			}
		case entry.IsDir() && r.hasTargetBelow(path):
			if err := os.MkdirAll(shown, 0o755); err != nil {
				return err
			}
			if err := r.compose(path); err != nil {
				return err
			}
		default:
			if err := mountOver(path, shown); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r Root) isTarget(path string) bool {
	for _, bind := range r.Binds {
		if bind.Target == path {
			return true
		}
	}
	return false
}

func (r Root) hasTargetBelow(path string) bool {
	for _, bind := range r.Binds {
		if strings.HasPrefix(bind.Target, path+"/") {
			return true
		}
	}
	return false
}

func mountOver(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = touch(target)
	}
	if err != nil {
		return err
	}
	// Recursive, as the kernel does not let a new user namespace uncover what was mounted over.
	if err := syscall.Mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", source, err)
	}
	return nil
}

func touch(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// followLinks resolves the part of the path that exists: /var/run is a link to
// /run on most machines.
func followLinks(path string) string {
	rest := ""
	for current := path; current != "/"; current = filepath.Dir(current) {
		if resolved, err := filepath.EvalSymlinks(current); err == nil {
			return filepath.Join(resolved, rest)
		}
		rest = filepath.Join(filepath.Base(current), rest)
	}
	return path
}
