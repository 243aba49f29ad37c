package realnode

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Traces is how the machine was before: what a node changes outside its own
// namespaces, written down first, so that it can be undone by another process.
type traces struct {
	// Settings are kernel settings with their former values.
	Settings map[string]string `json:"settings"`
	// Directories were made, as places to mount on.
	Directories []string `json:"directories"`
	// Tables and Chains of the packet filter that were there.
	Tables []string `json:"tables"`
	Chains []string `json:"chains"`
}

// settings are what the lab and the kubelet set.
var settings = []string{
	"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

func tracesFile(dir string) string { return filepath.Join(nodeDir(dir), "traces.json") }

// recordTraces is the first thing a node does.
func recordTraces(dir string) error {
	found := traces{Settings: map[string]string{}, Tables: tables(), Chains: pluginChains()}
	for _, setting := range settings {
		// One that the kernel does not have cannot be changed either.
		if value, err := os.ReadFile(settingFile(setting)); err == nil {
			found.Settings[setting] = strings.TrimSpace(string(value))
		}
	}
	for place := range places {
		if _, err := os.Stat(place); os.IsNotExist(err) {
			found.Directories = append(found.Directories, place)
		}
	}
	data, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(nodeDir(dir), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(tracesFile(dir), data, 0o644); err != nil {
		return err
	}
	for _, place := range found.Directories {
		if err := os.MkdirAll(place, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func readTraces(dir string) (found traces, err error) {
	data, err := os.ReadFile(tracesFile(dir))
	if os.IsNotExist(err) {
		// It ended before it changed anything.
		return found, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &found)
	}
	if err != nil {
		return found, fmt.Errorf("how the machine was before the lab is not known: %w", err)
	}
	return found, nil
}

// restore undoes what was not undone with the network.
func (t traces) restore() {
	for setting, value := range t.Settings {
		if err := set(setting, value); err != nil {
			log.Printf("restore: %v", err)
		}
	}
	slices.Sort(t.Directories)
	for _, place := range slices.Backward(t.Directories) {
		// Not if somebody else has put something there since.
		if err := os.Remove(place); err != nil && !os.IsNotExist(err) {
			log.Printf("restore: %v", err)
		}
	}
}

func set(setting, value string) error {
	if err := os.WriteFile(settingFile(setting), []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s to %s: %w", setting, value, err)
	}
	return nil
}

func settingFile(setting string) string { return "/proc/sys/" + setting }
