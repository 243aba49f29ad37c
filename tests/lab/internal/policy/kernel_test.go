package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// A packet that passes is there within microseconds; the machine may be busy.
	passPatience = 5 * time.Second
	// A refused one is also looked for among the dropped, so this may be short.
	refusePatience = 300 * time.Millisecond
	answerText     = "here"

	strangerAddress = "10.86.0.99"
)

// testbed is a node, its pods and the outside as network namespaces: a bridge, veth
// pairs, br_netfilter, as the lab's real node has them.
type testbed struct {
	*testing.T
	table   *table
	objects Objects
	spaces  map[string]string
}

func newTestbed(t *testing.T) *testbed {
	t.Helper()
	for _, program := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("NOT RUN, so nobody has seen the kernel obey the rules: %v", err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN, so nobody has seen the kernel obey the rules: only root makes network namespaces")
	}
	b := &testbed{T: t, objects: cluster(), spaces: map[string]string{}}
	if output, err := b.space("node"); err != nil {
		t.Skipf("NOT RUN, so nobody has seen the kernel obey the rules: network namespaces cannot be made here: %v: %s", err, output)
	}
	b.table = &table{command: []string{"ip", "netns", "exec", b.spaces["node"], "nft"}}
	if err := check(scope.PodCIDRs); err != nil {
		t.Skipf("NOT RUN, so nobody has seen the kernel obey the rules: %v", err)
	}
	b.sh("ip link set lo up; ip link add lab0 type bridge; ip addr add " + nodeAddress + "/16 dev lab0; ip link set lab0 up; " +
		"ip -6 addr add fd86::1/64 dev lab0 nodad; " +
		"sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1")
	for i, name := range []string{"shop/web", "shop/db", "bank/web", "bank/client", "kube-system/dns", "stranger"} {
		b.attach(i, name, b.address(name).String())
	}
	b.attachOutside()
	return b
}

func (b *testbed) address(name string) netip.Addr {
	if name == "stranger" {
		return netip.MustParseAddr(strangerAddress)
	}
	return address(b.T, b.objects, name)
}

// space makes a network namespace that goes with the test.
func (b *testbed) space(name string) (string, error) {
	space := fmt.Sprintf("labpol%d-%s", os.Getpid(), strings.ReplaceAll(name, "/", "-"))
	output, err := exec.Command("ip", "netns", "add", space).CombinedOutput()
	if err != nil {
		return string(output), err
	}
	b.Cleanup(func() { _ = exec.Command("ip", "netns", "del", space).Run() })
	b.spaces[name] = space
	return "", nil
}

// sh runs commands on the node.
func (b *testbed) sh(script string) {
	b.Helper()
	command := exec.Command("ip", "netns", "exec", b.spaces["node"], "sh", "-ec", script)
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", script, err, output)
	}
}

func (b *testbed) attach(number int, name, address string) {
	b.Helper()
	if output, err := b.space(name); err != nil {
		b.Fatalf("%v: %s", err, output)
	}
	space, port := b.spaces[name], fmt.Sprintf("port%d", number)
	b.sh(fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s; ip link set %s master lab0; ip link set %s up; "+
		"bridge link set dev %s hairpin on", port, space, port, port, port))
	octets := strings.Split(address, ".")
	b.sh(fmt.Sprintf("ip -n %[1]s link set lo up; ip -n %[1]s addr add %[2]s/16 dev eth0; ip -n %[1]s -6 addr add fd86::%[3]s/64 dev eth0 nodad; "+
		"ip -n %[1]s link set eth0 up; ip -n %[1]s route add default via "+nodeAddress, space, address, octets[3]))
}

func (b *testbed) attachOutside() {
	b.Helper()
	if output, err := b.space("outside"); err != nil {
		b.Fatalf("%v: %s", err, output)
	}
	space := b.spaces["outside"]
	b.sh(fmt.Sprintf("ip link add uplink type veth peer name eth0 netns %[1]s; ip addr add 198.51.100.1/24 dev uplink; ip link set uplink up; "+
		"ip -n %[1]s link set lo up; ip -n %[1]s addr add "+outsideAddress+"/24 dev eth0; ip -n %[1]s link set eth0 up; "+
		"ip -n %[1]s route add default via 198.51.100.1", space))
}

// within runs something on a thread in the network namespace; the thread ends with it.
// Sockets stay in the namespace that they were made in.
func (b *testbed) within(name string, do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		file, err := os.Open("/run/netns/" + b.spaces[name])
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			_ = file.Close()
		}
		if err == nil {
			err = do()
		}
		result <- err
	}()
	return <-result
}

// serve answers on this port in all namespaces.
func (b *testbed) serve(protocol string, port int) {
	b.Helper()
	for name := range b.spaces {
		err := b.within(name, func() error {
			if protocol == "udp" {
				socket, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
				if err == nil {
					b.Cleanup(func() { _ = socket.Close() })
					go answerDatagrams(socket)
				}
				return err
			}
			listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err == nil {
				b.Cleanup(func() { _ = listener.Close() })
				go answerConnections(listener)
			}
			return err
		})
		if err != nil {
			b.Fatalf("serve %s/%d in %s: %v", protocol, port, name, err)
		}
	}
}

func answerDatagrams(socket *net.UDPConn) {
	buffer := make([]byte, 64)
	for {
		_, from, err := socket.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = socket.WriteToUDPAddrPort([]byte(answerText), from)
		}
	}
}

// answerConnections answers each line, so that a connection can be used again later.
func answerConnections(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			buffer := make([]byte, 64)
			for {
				if _, err := connection.Read(buffer); err != nil {
					return
				}
				if _, err := connection.Write([]byte(answerText)); err != nil {
					return
				}
			}
		}()
	}
}

// dial connects and waits for the answer.
func (b *testbed) dial(from, protocol string, to netip.Addr, port int, patience time.Duration) (connection net.Conn, err error) {
	err = b.within(from, func() error {
		connection, err = net.DialTimeout(protocol, netip.AddrPortFrom(to, uint16(port)).String(), patience)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := ask(connection, patience); err != nil {
		_ = connection.Close()
		return nil, err
	}
	return connection, nil
}

func ask(connection net.Conn, patience time.Duration) error {
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := connection.Write([]byte("?")); err != nil {
		return err
	}
	buffer := make([]byte, len(answerText))
	if _, err := io.ReadFull(connection, buffer); err != nil {
		return err
	}
	if string(buffer) != answerText {
		return fmt.Errorf("answered %q", buffer)
	}
	return nil
}

// reaches tells whether from gets an answer; when that is not expected, soon.
func (b *testbed) reaches(from, protocol string, to netip.Addr, port int, expected bool) bool {
	b.Helper()
	patience := refusePatience
	if expected {
		patience = passPatience
	}
	connection, err := b.dial(from, protocol, to, port, patience)
	if err == nil {
		_ = connection.Close()
		return true
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		b.Errorf("%s -> %s %s/%d ended by something else than silence: %v", from, to, protocol, port, err)
	}
	return false
}

// expect tries a connection and, where it is to be refused, looks who did it.
func (b *testbed) expect(c connection, to netip.Addr, flowTo netip.Addr, flowPort int) {
	b.Helper()
	passes := c.refused == ""
	if got := b.reaches(c.from, c.protocol, to, c.port, passes); got != passes {
		b.Errorf("%s: passes: %t", c.text, got)
	}
	if passes {
		return
	}
	_, flows, err := b.table.refused(context.Background())
	if err != nil {
		b.Error(err)
	}
	from := b.address(c.from)
	directions := map[string]bool{}
	for _, flow := range flows {
		if flow.From == from && flow.To == flowTo && flow.Protocol == c.protocol && flow.Port == flowPort {
			directions[flow.Direction] = true
		}
	}
	if len(directions) != 1 || !directions[c.refused] {
		b.Errorf("%s: refused by %v; all: %+v", c.text, directions, flows)
	}
}

func (b *testbed) apply(policies string, scope Scope) *Ruleset {
	b.Helper()
	objects := b.objects
	objects.Policies = parsePolicies(b.T, policies)
	ruleset, problems := Compile(objects, scope)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	if err := b.table.apply(context.Background(), ruleset); err != nil {
		b.Fatalf("%v\n%s", err, ruleset)
	}
	return ruleset
}

// run is t.Run with the same network.
func (b *testbed) run(name string, test func(b *testbed)) {
	b.Run(name, func(t *testing.T) {
		inner := *b
		inner.T = t
		test(&inner)
	})
}

func TestKernel(t *testing.T) {
	b := newTestbed(t)
	served := map[connection]bool{}
	for _, test := range cases {
		for _, c := range parseConnections(t, test.connections) {
			key := connection{protocol: c.protocol, port: c.port}
			if c.protocol != "sctp" && !served[key] {
				served[key] = true
				b.serve(c.protocol, c.port)
			}
		}
	}
	for _, test := range cases {
		b.run(test.name, func(b *testbed) {
			b.apply(test.policies, scope)
			b.sh("nft flush set inet " + tableName + " egress-drops; nft flush set inet " + tableName + " ingress-drops")
			var all sync.WaitGroup
			for _, c := range parseConnections(t, test.connections) {
				// This kernel may have no SCTP; TestCases has it.
				if c.protocol != "sctp" {
					all.Go(func() { b.expect(c, b.address(c.to), b.address(c.to), c.port) })
				}
			}
			all.Wait()
		})
	}
	b.run("services", testServices)
	b.run("unknown addresses", testUnknown)
	b.run("existing connections and counters outlive a change", testChange)
	b.run("IPv6", testIPv6)
	b.run("a failure does not last", testFailure)
	b.run("removal", testRemoval)
}

const denyAllOfShop = `
in: shop
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`

// Services are DNATed before they are judged, as kube-proxy does it.
func testServices(b *testbed) {
	b.sh(`nft -f - <<'END'
table ip services {
	chain prerouting {
		type nat hook prerouting priority dstnat
		ip daddr 10.96.0.1 tcp dport 443 dnat to 10.86.0.1:6443
		ip daddr 10.96.0.2 tcp dport 443 dnat to 10.86.0.11:5432
		ip daddr 10.96.0.3 tcp dport 443 dnat to 10.86.0.10:8080
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		ip saddr 10.86.0.10 ip daddr 10.86.0.10 masquerade
	}
}
END`)
	defer b.sh("nft delete table ip services")
	api, database, itself := netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("10.96.0.2"), netip.MustParseAddr("10.96.0.3")
	b.apply(denyAllOfShop+`
---
in: bank
spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 6443}]}, {to: [{namespaceSelector: {}}], ports: [{port: 5432}]}]}
---
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}, {namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: client}}}]}]}`, scope)
	expect := func(line string, service, target netip.Addr, port int) {
		b.Helper()
		b.expect(parseConnections(b.T, line)[0], service, target, port)
	}
	expect("bank/client -> api tcp/443 passes", api, b.address("node"), 6443)
	expect("shop/web -> api tcp/443 egress", api, b.address("node"), 6443)
	expect("bank/client -> database tcp/443 passes", database, b.address("shop/db"), 5432)
	expect("bank/web -> database tcp/443 ingress", database, b.address("shop/db"), 5432)
	expect("shop/web -> database tcp/443 egress", database, b.address("shop/db"), 5432)
	expect("shop/web -> itself tcp/443 passes", itself, b.address("shop/web"), 8080)
}

func testUnknown(b *testbed) {
	b.apply("", scope)
	before := b.counters()
	db, stranger := b.address("shop/db"), b.address("stranger")
	for _, test := range []struct {
		from   string
		to     netip.Addr
		passes bool
	}{
		{"stranger", db, false}, {"stranger", b.address("node"), false}, {"stranger", b.address("outside"), false},
		{"shop/db", stranger, false}, {"outside", stranger, false}, {"node", stranger, true},
		// Its own address lies among those of the pods.
		{"node", b.address("node"), true},
	} {
		if got := b.reaches(test.from, "tcp", test.to, 8080, test.passes); got != test.passes {
			b.Errorf("%s -> %s: passes: %t", test.from, test.to, got)
		}
	}
	after := b.counters()
	if n := after["egress-unknown"] - before["egress-unknown"]; n < 3 {
		b.Errorf("egress-unknown counts %d", n)
	}
	if n := after["ingress-unknown"] - before["ingress-unknown"]; n < 2 {
		b.Errorf("ingress-unknown counts %d", n)
	}
	b.apply("", Scope{})
	if !b.reaches("stranger", "tcp", db, 8080, true) {
		b.Error("without PodCIDRs an unknown address is refused")
	}
}

func (b *testbed) counters() map[string]uint64 {
	b.Helper()
	counters, _, err := b.table.refused(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return counters
}

func testChange(b *testbed) {
	b.apply("", scope)
	db := b.address("shop/db")
	existing, err := b.dial("bank/client", "tcp", db, 5432, passPatience)
	if err != nil {
		b.Fatal(err)
	}
	defer existing.Close()
	b.apply(denyAllOfShop, scope)
	if err := ask(existing, passPatience); err != nil {
		b.Errorf("an existing connection broke: %v", err)
	}
	if b.reaches("bank/client", "tcp", db, 5432, false) {
		b.Error("a new connection passes")
	}
	before := b.counters()["ingress/shop/db"]
	if before == 0 {
		b.Error("the counter of the pod stands at 0")
	}
	// Another pod is no longer isolated, its chain goes; the counter of this one stays.
	b.apply("in: shop\nspec: {podSelector: {matchLabels: {app: db}}}", scope)
	counters := b.counters()
	if after := counters["ingress/shop/db"]; after < before {
		b.Errorf("the counter went from %d to %d", before, after)
	}
	if _, there := counters["ingress/shop/web"]; there {
		b.Error("the counter of a pod that is not isolated stays")
	}
}

func testIPv6(b *testbed) {
	objects := cluster()
	for _, pod := range objects.Pods[:5] {
		pod.Status.PodIPs = append(pod.Status.PodIPs, pod.Status.PodIPs[0])
		pod.Status.PodIPs[1].IP = "fd86::" + strings.Split(pod.Status.PodIP, ".")[3]
	}
	inner := *b
	inner.objects = objects
	wide := Scope{PodCIDRs: append(slices.Clone(scope.PodCIDRs), netip.MustParsePrefix("fd86::/64"))}
	inner.apply(`
in: shop
spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: client}}}], ports: [{port: 5432}]}]}`, wide)
	db, fresh := netip.MustParseAddr("fd86::11"), netip.MustParseAddr("fd86::99")
	if !b.reaches("bank/client", "tcp", db, 5432, true) {
		b.Error("what a policy allows is refused")
	}
	if b.reaches("bank/client", "tcp", db, 8080, false) || b.reaches("bank/web", "tcp", db, 5432, false) {
		b.Error("what no policy allows passes")
	}
	if b.reaches("bank/web", "tcp", fresh, 8080, false) {
		b.Error("an unknown address is reached")
	}
	if _, flows, err := b.table.refused(context.Background()); err != nil || !slices.ContainsFunc(flows, func(f Flow) bool { return f.To == db }) {
		b.Errorf("the refused flow is not among %+v (%v)", flows, err)
	}
}

func testFailure(b *testbed) {
	b.apply("", scope)
	odd := &Ruleset{isolations: []isolation{{endpoint: endpoint{Pod: pod("no good/name", "", "")}, direction: ingress}}}
	if err := b.table.apply(context.Background(), odd); err == nil || !strings.Contains(err.Error(), "syntax error") {
		b.Fatalf("nft took a name with a blank: %v", err)
	}
	// Someone else took the table away, or this did not start from nothing.
	b.sh("nft delete table inet " + tableName)
	b.apply(denyAllOfShop, scope)
	if b.reaches("bank/client", "tcp", b.address("shop/db"), 5432, false) {
		b.Error("the policy is not in force")
	}
}

func testRemoval(b *testbed) {
	b.apply(denyAllOfShop, scope)
	for range 2 {
		if err := b.table.remove(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	if !b.reaches("bank/client", "tcp", b.address("shop/db"), 5432, true) {
		b.Error("the policy is still in force")
	}
}

func TestCheckSetting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "setting")
	if err := checkSetting(path); err == nil || !strings.Contains(err.Error(), "br_netfilter") {
		t.Errorf("no such setting: %v", err)
	}
	for value, good := range map[string]bool{"0\n": false, "1\n": true} {
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkSetting(path); (err == nil) != good {
			t.Errorf("%q: %v", value, err)
		}
	}
}
