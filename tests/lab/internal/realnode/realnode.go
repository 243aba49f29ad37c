// Package realnode makes the machine the lab's one node: containerd, kubelet and
// kube-proxy, unmodified, with a bridge for the pods.
//
// What it leaves on the machine is kept small, so that it can be removed again even
// after a crash. containerd, the kubelet and all containers live in a process and a
// mount namespace of their own (space.go): they end when its first process ends, and
// their usual directories (/var/lib/kubelet, /var/log/pods, …) are directories of
// the lab's. Outside are only the bridge, nftables tables, cgroups and some kernel
// settings: network.go, cgroups.go and traces.go make and remove them.
package realnode

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"platctl.dev/lab/internal/child"
	"platctl.dev/lab/internal/policy"
)

const (
	// Name of the node.
	Name = "lab-node-1"
	// Address of the node, of the API server and of everything else on the machine
	// as pods see it: the bridge's.
	Address = "10.86.0.1"
	// PodCIDR is where pods get their addresses from.
	PodCIDR = "10.86.0.0/16"
	// DNSAddress is the Service kube-dns.
	DNSAddress = "10.96.0.10"

	bridge = "lab0"
	// What the node claims to have. The platform's requests are made for a small
	// cluster; two or four processors carry it all the same, only slower.
	processors = 16
	maxPods    = 250
)

// Node is the machine as a node of one lab.
type Node struct {
	dir    string
	binDir string
	// ServiceCIDR and BalancerCIDR are the addresses that only kube-proxy knows.
	ServiceCIDR, BalancerCIDR string

	space *child.Unit
	units []*child.Unit
}

// New prepares a node whose files are below dir/node; binDir has the programs for
// its own images.
func New(dir, binDir, serviceCIDR, balancerCIDR string) *Node {
	return &Node{dir: dir, binDir: binDir, ServiceCIDR: serviceCIDR, BalancerCIDR: balancerCIDR}
}

// programs the node needs, from Debian packages.
var programs = []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "nsenter", "ip", "nft", "iptables", "iptables-save"}

// Check tells what is missing for a real node.
func Check() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("a real node needs root: it makes containers, a bridge and packet filter rules")
	}
	var missing []string
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if pluginDir() == "" {
		missing = append(missing, "the CNI plugins")
	}
	if len(missing) > 0 {
		return fmt.Errorf("not installed: %s; tests/lab/real/install.sh installs them", strings.Join(missing, ", "))
	}
	return checkFree()
}

// pluginDir is where the distribution has its CNI plugins.
func pluginDir() string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			return dir
		}
	}
	return ""
}

// Open makes the bridge and starts containerd; to be called before the API server
// starts, which listens on the bridge.
func (n *Node) Open(ctx context.Context) error {
	if err := recordTraces(n.dir); err != nil {
		return err
	}
	if err := n.openNetwork(); err != nil {
		return err
	}
	if err := makeCgroups(); err != nil {
		return err
	}
	if err := n.openSpace(ctx); err != nil {
		return err
	}
	return n.startRuntime(ctx)
}

// Units are the node's processes, for whoever wants to stop one.
func (n *Node) Units() []*child.Unit { return n.units }

// Close stops the processes; CleanUp removes the rest.
func (n *Node) Close() {
	for i := len(n.units) - 1; i >= 0; i-- {
		n.units[i].Stop(time.Second)
	}
	if n.space != nil {
		n.space.Stop(time.Second)
	}
}

// CleanUp removes what the node of the lab in dir has left on the machine, whether
// it was closed or died. It does nothing where there was none.
func CleanUp(dir string) error {
	if _, err := os.Stat(nodeDir(dir)); os.IsNotExist(err) {
		return nil
	}
	traces, err := readTraces(dir)
	if err != nil {
		return err
	}
	removeCgroups()
	if err := policy.CleanUp(); err != nil {
		log.Printf("clean up: %v", err)
	}
	closeNetwork(dir, traces)
	traces.restore()
	if err := os.RemoveAll(nodeDir(dir)); err != nil {
		return fmt.Errorf("remove the node's files: %w", err)
	}
	return nil
}

func nodeDir(dir string) string { return filepath.Join(dir, "node") }

func (n *Node) path(parts ...string) string {
	return filepath.Join(append([]string{nodeDir(n.dir)}, parts...)...)
}

// unit keeps a program running, inside the node's namespaces or outside.
func (n *Node) unit(name string, inside bool, command ...string) *child.Unit {
	unit := &child.Unit{Name: name, Prepare: func() (child.Spec, error) {
		words := command
		if inside {
			words = append(n.enter(), command...)
		}
		path, err := exec.LookPath(words[0])
		return child.Spec{
			Name: name, Path: path, Args: words[1:], Env: os.Environ(), Dir: n.dir,
			LogFile: filepath.Join(n.dir, "logs", name+".log"), PidDir: filepath.Join(n.dir, "pids"),
		}, err
	}}
	n.units = append(n.units, unit)
	return unit
}

// run executes a command to its end; its output is part of the error.
func run(ctx context.Context, words ...string) error {
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("`%s`: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
