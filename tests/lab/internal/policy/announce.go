package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// PluginName is the type of the CNI plugin, and the name under which the lab's program
// has to lie in the directory of the plugins.
const PluginName = "lab-policy"

const (
	// announcePatience is how long a pod may wait for its policies.
	announcePatience = 20 * time.Second
	// acceptPause is for a listener in trouble, such as no free file descriptors.
	acceptPause = 100 * time.Millisecond
)

// notice is what the plugin tells Run; the answer is an answer.
type notice struct {
	Gone      bool         `json:"gone,omitempty"`
	UID       types.UID    `json:"uid"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

type answer struct {
	Error string `json:"error,omitempty"`
}

// listen takes notices until it is stopped. A socket that a killed lab has left is
// replaced.
func (a *announcements) listen(path string) (stop func(), err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen for the addresses of new pods: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the addresses of new pods: %w", err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				log.Printf("take the address of a new pod: %v", err)
				time.Sleep(acceptPause)
				continue
			}
			go a.serve(connection)
		}
	}()
	return func() { _ = listener.Close() }, nil
}

func (a *announcements) serve(connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(announcePatience + time.Second))
	var told notice
	if err := json.NewDecoder(connection).Decode(&told); err != nil {
		log.Printf("read the address of a new pod: %v", err)
		return
	}
	var reply answer
	if told.Gone {
		a.remove(told.UID)
	} else {
		select {
		case <-a.add(told.UID, told.Addresses):
		case <-time.After(announcePatience):
			reply.Error = fmt.Sprintf("the policies of the pod with UID %s were not in force after %s: the log of the lab tells why", told.UID, announcePatience)
		}
	}
	if err := json.NewEncoder(connection).Encode(reply); err != nil {
		log.Printf("answer for the pod with UID %s: %v", told.UID, err)
	}
}

// pluginConfig is the part of the CNI configuration that counts.
type pluginConfig struct {
	Version string `json:"cniVersion"`
	Socket  string `json:"socket"`
	// PrevResult is passed on as it came.
	PrevResult json.RawMessage `json:"prevResult"`
}

// Plugin is the CNI plugin that follows the one that gives addresses:
// {"type": "lab-policy", "socket": Options.Socket}. The pod's containers start only
// after it, and so only when their policies are in force. It reads what the CNI
// specification says and returns the exit code.
func Plugin(input io.Reader, output io.Writer, getenv func(string) string) int {
	var config pluginConfig
	err := json.NewDecoder(input).Decode(&config)
	if err != nil {
		err = fmt.Errorf("read the network configuration: %w", err)
	} else {
		err = config.act(output, getenv)
	}
	if err == nil {
		return 0
	}
	// 999 is not one of the codes that the specification has reserved.
	_ = json.NewEncoder(output).Encode(map[string]any{"cniVersion": config.Version, "code": 999, "msg": PluginName + ": " + err.Error()})
	return 1
}

func (c pluginConfig) act(output io.Writer, getenv func(string) string) error {
	uid := podUID(getenv("CNI_ARGS"))
	switch command := getenv("CNI_COMMAND"); command {
	case "VERSION":
		return json.NewEncoder(output).Encode(map[string]any{
			"cniVersion": "1.0.0", "supportedVersions": []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0"},
		})
	case "ADD":
		addresses, err := c.addresses()
		if err != nil {
			return err
		}
		if uid == "" {
			return fmt.Errorf("CNI_ARGS have no K8S_POD_UID: a newer container runtime is needed")
		}
		if err := c.tell(notice{UID: uid, Addresses: addresses}); err != nil {
			return err
		}
		_, err = output.Write(c.PrevResult)
		return err
	case "DEL":
		// Taking down a pod must also work when the lab is gone; a later pod's address
		// then counts, not this one's.
		if uid != "" {
			_ = c.tell(notice{UID: uid, Gone: true})
		}
		return nil
	case "CHECK":
		return nil
	default:
		return fmt.Errorf("CNI_COMMAND %q is not known", command)
	}
}

func podUID(arguments string) types.UID {
	for _, pair := range strings.Split(arguments, ";") {
		if uid, found := strings.CutPrefix(pair, "K8S_POD_UID="); found {
			return types.UID(uid)
		}
	}
	return ""
}

// addresses are those that the plugin before this one gave.
func (c pluginConfig) addresses() (addresses []netip.Addr, err error) {
	var result struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
	}
	if len(c.PrevResult) == 0 {
		return nil, fmt.Errorf("there is no prevResult: the plugin has to follow one that gives addresses")
	}
	if err := json.Unmarshal(c.PrevResult, &result); err != nil {
		return nil, fmt.Errorf("read prevResult: %w", err)
	}
	for _, ip := range result.IPs {
		addresses = append(addresses, ip.Address.Addr())
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("prevResult has no addresses")
	}
	return addresses, nil
}

func (c pluginConfig) tell(told notice) error {
	connection, err := net.Dial("unix", c.Socket)
	if err != nil {
		return fmt.Errorf("reach the policies: %w; does the lab run?", err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(announcePatience + 2*time.Second))
	if err := json.NewEncoder(connection).Encode(told); err != nil {
		return fmt.Errorf("announce the pod: %w", err)
	}
	var reply answer
	if err := json.NewDecoder(connection).Decode(&reply); err != nil {
		return fmt.Errorf("await the policies of the pod: %w", err)
	}
	if reply.Error != "" {
		return errors.New(reply.Error)
	}
	return nil
}
