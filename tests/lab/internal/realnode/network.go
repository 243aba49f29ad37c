package realnode

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"platctl.dev/lab/internal/policy"
)

const (
	aliasPrefix = "platctl lab "
	// fence is a table of the lab's own.
	fence = "inet platctl-lab"
)

// proxyTables are kube-proxy's.
var proxyTables = []string{"ip kube-proxy", "ip6 kube-proxy"}

// fenceRules let nothing pass between pods and what lies beyond the machine.
const fenceRules = `table inet platctl-lab {
	chain forward {
		type filter hook forward priority filter;
		iifname "lab0" oifname != "lab0" reject
		iifname != "lab0" oifname "lab0" drop
	}
}
`

// pluginConfig is for the container runtime: how a pod gets its network.
const pluginConfig = `{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge", "bridge": "lab0", "isGateway": true, "hairpinMode": true,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.86.0.0/16", "rangeStart": "10.86.1.1"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}},
    {"type": "lab-policy", "socket": %q}
  ]
}
`

// policySocket is where the plugin lab-policy waits until the pod's NetworkPolicies
// are in force.
const policySocket = "policy.sock"

// PolicySocket is the file for policy.Run to listen on.
func (n *Node) PolicySocket() string { return n.path(policySocket) }

// checkFree refuses a machine that has a node's network already.
func checkFree() error {
	if alias, found := bridgeAlias(); found {
		if owner, ours := strings.CutPrefix(alias, aliasPrefix); ours {
			return fmt.Errorf("the lab in %s has a real node, and a machine can only be one: `lab down --dir %s` ends it", owner, owner)
		}
		return fmt.Errorf("the machine has an interface %s already, which is not the lab's", bridge)
	}
	for _, table := range tables() {
		if slices.Contains(proxyTables, table) {
			return fmt.Errorf("kube-proxy has rules on this machine already (nftables table `%s`): it is a node of another cluster, or a lab was not taken down", table)
		}
	}
	return nil
}

// bridgeAlias tells whether the bridge is there, and whose it is.
func bridgeAlias() (alias string, found bool) {
	output, err := exec.Command("ip", "-json", "link", "show", "dev", bridge).Output()
	var links []struct {
		Alias string `json:"ifalias"`
	}
	if err != nil || json.Unmarshal(output, &links) != nil || len(links) == 0 {
		return "", false
	}
	return links[0].Alias, true
}

// openNetwork makes the bridge, with the node's address, and routes for the
// addresses of Services: kube-proxy turns packets to them before they arrive
// anywhere, but only after the kernel has found a way for them.
func (n *Node) openNetwork() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, words := range [][]string{
		{"ip", "link", "add", bridge, "type", "bridge"},
		{"ip", "link", "set", bridge, "alias", aliasPrefix + n.dir},
		{"ip", "address", "add", Address + "/16", "dev", bridge},
		{"ip", "link", "set", bridge, "up"},
		{"ip", "route", "add", n.ServiceCIDR, "dev", bridge},
		{"ip", "route", "add", n.BalancerCIDR, "dev", bridge},
	} {
		if err := run(ctx, words...); err != nil {
			return err
		}
	}
	// Bridged packets have to pass the packet filter too: answers of a pod on the
	// same bridge must be turned back to come from the Service.
	for _, setting := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		if err := set(setting, "1"); err != nil {
			return err
		}
	}
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(fenceRules)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("set packet filter rules: %w: %s", err, output)
	}
	return n.configurePlugins()
}

// plugins are those that pluginConfig and containerd name.
var plugins = []string{"bridge", "host-local", "loopback", "portmap"}

// configurePlugins makes a directory of plugins, as containerd looks for them in one
// only, and the configuration.
func (n *Node) configurePlugins() error {
	for _, dir := range []string{"cni", "plugins"} {
		if err := os.MkdirAll(n.path(dir), 0o755); err != nil {
			return err
		}
	}
	for _, plugin := range plugins {
		if err := os.Symlink(filepath.Join(pluginDir(), plugin), n.path("plugins", plugin)); err != nil {
			return err
		}
	}
	// The lab itself is the last of them: it acts by its name.
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Symlink(self, n.path("plugins", policy.PluginName)); err != nil {
		return err
	}
	config := fmt.Sprintf(pluginConfig, n.PolicySocket())
	return os.WriteFile(n.path("cni", "10-lab.conflist"), []byte(config), 0o644)
}

// closeNetwork removes all of that, kube-proxy's rules and those of the plugins.
func closeNetwork(dir string, before traces) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// Without a name on it the bridge is ours too: there was none when this lab began,
	// and it ended before it had put its name there.
	alias, found := bridgeAlias()
	if found && alias != "" && alias != aliasPrefix+dir {
		return
	}
	report := func(err error) {
		if err != nil {
			log.Printf("clean up: %v", err)
		}
	}
	removePluginChains(ctx, before, report)
	for _, table := range tables() {
		if slices.Contains(before.Tables, table) {
			continue
		}
		words := strings.Fields(table)
		if table == fence || slices.Contains(proxyTables, table) || isEmptyIptables(ctx, words[0], words[1]) {
			report(run(ctx, "nft", "delete", "table", words[0], words[1]))
		}
	}
	// Last, since its alias is what tells whose all this is.
	if found {
		report(run(ctx, "ip", "link", "delete", bridge))
	}
}

// tables lists the packet filter's tables as "family name".
func tables() []string {
	output, _ := exec.Command("nft", "list", "tables").Output()
	var found []string
	for line := range strings.Lines(string(output)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "table "); ok {
			found = append(found, name)
		}
	}
	return found
}

// isEmptyIptables recognises a table that iptables makes at its first use and never removes.
func isEmptyIptables(ctx context.Context, family, table string) bool {
	save := map[string]string{"ip": "iptables-save", "ip6": "ip6tables-save"}[family]
	if save == "" || !slices.Contains([]string{"filter", "nat", "mangle", "raw"}, table) {
		return false
	}
	output, err := exec.CommandContext(ctx, save, "-t", table).Output()
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(output)) {
		if strings.HasPrefix(line, "-A ") {
			return false
		}
		// A chain of somebody's own has no policy.
		if strings.HasPrefix(line, ":") && strings.Contains(line, " - ") {
			return false
		}
	}
	return true
}

// pluginChains are those of the CNI plugin portmap.
func pluginChains() []string {
	output, _ := exec.Command("iptables-save", "-t", "nat").Output()
	var chains []string
	for line := range strings.Lines(string(output)) {
		if name, _, found := strings.Cut(line, " "); found && strings.HasPrefix(name, ":CNI-") {
			chains = append(chains, name[1:])
		}
	}
	return chains
}

// removePluginChains is for pods that were killed and not stopped: nobody asked the
// plugin to take their rules away.
func removePluginChains(ctx context.Context, before traces, report func(error)) {
	var script, removals strings.Builder
	var ours []string
	for _, chain := range pluginChains() {
		if !slices.Contains(before.Chains, chain) {
			ours = append(ours, chain)
			fmt.Fprintf(&removals, "-F %s\n", chain)
		}
	}
	if len(ours) == 0 {
		return
	}
	for _, chain := range ours {
		fmt.Fprintf(&removals, "-X %s\n", chain)
	}
	output, err := exec.CommandContext(ctx, "iptables-save", "-t", "nat").Output()
	report(err)
	script.WriteString("*nat\n")
	for line := range strings.Lines(string(output)) {
		rule, isRule := strings.CutPrefix(line, "-A ")
		if isRule && slices.ContainsFunc(ours, func(chain string) bool { return strings.Contains(rule, "-j "+chain) }) {
			script.WriteString("-D " + rule)
		}
	}
	script.WriteString(removals.String() + "COMMIT\n")
	command := exec.CommandContext(ctx, "iptables-restore", "--noflush")
	command.Stdin = strings.NewReader(script.String())
	if output, err := command.CombinedOutput(); err != nil {
		report(fmt.Errorf("remove the CNI plugins' rules: %w: %s", err, output))
	}
}
