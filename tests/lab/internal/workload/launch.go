package workload

import (
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"

	"platctl.dev/lab/internal/child"
)

const serviceAccountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// Launch is what a table row may use to build arguments and environment.
type Launch struct {
	Pod   *core.Pod
	PodIP string
	// Root holds the pod's volumes at the paths of the container, and is the
	// process's working directory.
	Root string
	// Kubeconfig has the rights of the pod's ServiceAccount.
	Kubeconfig string
	// APIPort is the API server's port on 127.0.0.1.
	APIPort int
	// BinDir is where the lab's programs are.
	BinDir string
	// Given are the container's arguments, its command without the program first.
	Given []string

	kind      ProcessKind
	container core.Container
	local     map[int]int
	files     *projection
}

func newLaunch(kind ProcessKind, pod *core.Pod, container core.Container) *Launch {
	run := filepath.Join(kind.Around.Config.Dir, "run", pod.Namespace+"."+pod.Name)
	launch := &Launch{
		Pod: pod, PodIP: pod.Status.PodIP, Root: filepath.Join(run, "root"), Kubeconfig: filepath.Join(run, "kubeconfig"),
		APIPort: kind.Around.Config.APIPort, BinDir: kind.Around.BinDir,
		kind: kind, container: container, local: map[int]int{},
	}
	launch.files = &projection{
		around: kind.Around, pod: pod, mounts: container.VolumeMounts, root: launch.Root,
		volumes: filepath.Join(run, "volumes"), tokens: map[string]issuedToken{},
	}
	return launch
}

func (l *Launch) id() string { return l.Pod.Namespace + "." + l.Pod.Name }

// Port is the local port that stands for a container port of LocalPorts.
func (l *Launch) Port(containerPort int) string { return strconv.Itoa(l.local[containerPort]) }

// Address is where a container port is served.
func (l *Launch) Address(containerPort int) string {
	if local, found := l.local[containerPort]; found {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(local))
	}
	return net.JoinHostPort(l.PodIP, strconv.Itoa(containerPort))
}

// Path is where an absolute path of the container really is.
func (l *Launch) Path(path string) string { return filepath.Join(l.Root, path) }

// At is where the process sees a path of the container: there, unless it is in a
// volume that could not be mounted.
func (l *Launch) At(path string) string {
	for _, mount := range l.container.VolumeMounts {
		if covers(mount.MountPath, path) && !l.mounted(mount) {
			return l.Path(path)
		}
	}
	return path
}

func (l *Launch) mounted(mount core.VolumeMount) bool {
	// Such a mount, of /tmp for one, would hide the lab's own files.
	hides := covers(mount.MountPath, l.kind.Around.Config.Dir) || covers(mount.MountPath, l.BinDir)
	return l.kind.Around.Roots && !hides
}

// Service is a loopback address that leads to an address of the cluster network,
// for clients that know of no HTTP proxy.
func (l *Launch) Service(address string) string {
	local, err := l.kind.Around.Forward(l.Pod.Namespace, address)
	if err != nil {
		log.Printf("%s: forward to %s: %v", l.id(), address, err)
		return address
	}
	return local
}

// dir is the container's working directory; without a root of its own, a process
// starts where the pod's volumes are.
func (l *Launch) dir() string {
	switch {
	case l.kind.Dir != nil:
		return l.kind.Dir(l)
	case !l.kind.Around.Roots:
		return l.Root
	case l.container.WorkingDir != "":
		return l.container.WorkingDir
	}
	return "/"
}

// root has the container's volumes at their paths and the container's user.
func (l *Launch) root() (child.Root, error) {
	root := child.Root{Scratch: filepath.Join(filepath.Dir(l.Root), "scratch"), UID: os.Getuid(), GID: os.Getgid()}
	if err := os.MkdirAll(root.Scratch, 0o755); err != nil {
		return root, err
	}
	for _, mount := range l.container.VolumeMounts {
		if !l.mounted(mount) {
			continue
		}
		source := filepath.Join(l.files.volumes, mount.Name, mount.SubPath)
		root.Binds = append(root.Binds, child.Bind{Source: source, Target: filepath.Clean(mount.MountPath)})
	}
	slices.SortFunc(root.Binds, func(a, b child.Bind) int { return len(a.Target) - len(b.Target) })
	if security := l.Pod.Spec.SecurityContext; security != nil {
		setUser(&root, security.RunAsUser, security.RunAsGroup)
	}
	if security := l.container.SecurityContext; security != nil {
		setUser(&root, security.RunAsUser, security.RunAsGroup)
	}
	return root, nil
}

func setUser(root *child.Root, user, group *int64) {
	if user != nil {
		root.UID = int(*user)
	}
	if group != nil {
		root.GID = int(*group)
	}
}

func covers(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// SetFlags replaces --name=value and --name value in the given arguments, or adds
// the flag when it is not there.
func SetFlags(given []string, flags map[string]string) []string {
	var result []string
	for i := 0; i < len(given); i++ {
		name, _, joined := strings.Cut(given[i], "=")
		if _, replaced := flags[strings.TrimLeft(name, "-")]; replaced && strings.HasPrefix(name, "-") {
			if !joined && i+1 < len(given) && !strings.HasPrefix(given[i+1], "-") {
				i++
			}
			continue
		}
		result = append(result, given[i])
	}
	names := make([]string, 0, len(flags))
	for name := range flags {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		result = append(result, "--"+name+"="+flags[name])
	}
	return result
}

func (l *Launch) arguments() []string {
	environment, _ := l.environment()
	var given []string
	if len(l.container.Command) > 1 {
		given = append(given, l.container.Command[1:]...)
	}
	given = append(given, l.container.Args...)
	for i, argument := range given {
		given[i] = expand(argument, environment)
	}
	l.Given = given
	if l.kind.Args == nil {
		return given
	}
	return l.kind.Args(l)
}

// environment is the container's, on top of what points a process to the lab.
func (l *Launch) environment() (map[string]string, error) {
	home := filepath.Join(filepath.Dir(l.Root), "home")
	temporary := filepath.Join(filepath.Dir(l.Root), "tmp")
	for _, dir := range []string{home, temporary} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	// The user part tells the proxy in whose namespace short names are looked up.
	proxy := fmt.Sprintf("http://%s:x@%s", l.Pod.Namespace, l.kind.Around.ProxyAddr)
	result := map[string]string{
		"PATH": l.BinDir + ":" + os.Getenv("PATH"), "HOME": home, "TMPDIR": temporary,
		"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": strconv.Itoa(l.APIPort),
		"HTTP_PROXY": proxy, "http_proxy": proxy, "HTTPS_PROXY": proxy, "https_proxy": proxy,
		"NO_PROXY": "127.0.0.0/8,localhost", "no_proxy": "127.0.0.0/8,localhost",
	}
	if !l.kind.Around.Roots {
		// Without the ServiceAccount's files in their place there is no in-cluster configuration.
		result["KUBECONFIG"] = l.Kubeconfig
	}
	for _, container := range l.containers() {
		if err := l.addContainerEnvironment(container, result); err != nil {
			return nil, err
		}
	}
	if l.kind.Env != nil {
		l.kind.Env(l, result)
	}
	return result, nil
}

func (l *Launch) writeKubeconfig() error {
	token := l.Path(serviceAccountPath + "/token")
	config := l.kind.Around.Config
	text := config.TokenFileKubeconfig(config.DirectURL(), token, l.Pod.Namespace)
	return os.WriteFile(l.Kubeconfig, []byte(text), 0o600)
}
