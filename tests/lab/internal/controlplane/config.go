package controlplane

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"platctl.dev/lab/internal/pki"
)

const (
	// Version is what the API server reports; build.sh links the same one in.
	Version = "v1.37.2"
	// ServiceCIDR is where cluster IPs come from; APIServiceIP is its first address.
	ServiceCIDR  = "10.96.0.0/16"
	APIServiceIP = "10.96.0.1"
)

// Config holds the paths, ports and credentials of one control plane.
type Config struct {
	Dir string
	// Address is where the API server listens: loopback, or where pods of a real node
	// reach it.
	Address    string
	CA         *pki.Authority
	Serving    pki.Pair
	Kubelet    pki.Pair
	APIPort    int
	EtcdPort   int
	PeerPort   int
	KCMPort    int
	SchedPort  int
	AdminToken string

	managerToken, schedulerToken string
	nodeToken, proxyToken        string
}

// Loopback is the API server's address unless there is a real node.
const Loopback = "127.0.0.1"

// NewConfig makes certificates, tokens and configuration files under dir, for an
// API server at address.
func NewConfig(dir, address string) (*Config, error) {
	config := &Config{Dir: dir, Address: address}
	for _, sub := range []string{"logs", "pids", "run", "config"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	ports, err := FreePorts(5)
	if err != nil {
		return nil, err
	}
	config.APIPort, config.EtcdPort, config.PeerPort = ports[0], ports[1], ports[2]
	config.KCMPort, config.SchedPort = ports[3], ports[4]
	if ip := net.ParseIP(address); ip != nil && !ip.IsLoopback() {
		// Pods reach it too, so it has the port that NetworkPolicies expect.
		config.APIPort = 6443
	}
	config.AdminToken, config.managerToken, config.schedulerToken = randomToken(), randomToken(), randomToken()
	config.nodeToken, config.proxyToken = randomToken(), randomToken()
	if err := config.makeCertificates(); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return config, config.writeFiles()
}

func (c *Config) makeCertificates() (err error) {
	if c.CA, err = pki.NewAuthority(c.path("pki")); err != nil {
		return err
	}
	names := []string{
		Loopback, c.Address, "localhost", APIServiceIP, "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}
	if c.Serving, err = c.CA.Issue("apiserver", pkix.Name{CommonName: "kube-apiserver"}, names...); err != nil {
		return err
	}
	// One certificate for both ends: the API server shows it to the nodes, the nodes serve with it.
	subject := pkix.Name{CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}}
	if c.Kubelet, err = c.CA.Issue("kubelet", subject, "127.0.0.1", "localhost"); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return os.WriteFile(c.path("pki", "sa.key"), block, 0o600)
}

func (c *Config) writeFiles() error {
	files := map[string]string{
		"config/tokens.csv": fmt.Sprintf("%s,lab-admin,lab-admin,\"system:masters\"\n%s,system:kube-controller-manager,kcm\n%s,system:kube-scheduler,scheduler\n",
			c.AdminToken, c.managerToken, c.schedulerToken) + c.nodeTokens(),
		"config/audit.yaml":           auditPolicy,
		"direct.kubeconfig":           c.Kubeconfig(c.DirectURL(), c.AdminToken),
		"config/kcm.kubeconfig":       c.Kubeconfig(c.DirectURL(), c.managerToken),
		"config/scheduler.kubeconfig": c.Kubeconfig(c.DirectURL(), c.schedulerToken),
	}
	for name, content := range files {
		if err := os.WriteFile(c.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// WriteEgress points the API server's cluster traffic to the proxy that listens on
// a unix socket; to be called before Start. A TCP address without TLS would be
// valid too, but the API server panics on it.
func (c *Config) WriteEgress(socket string) error {
	return os.WriteFile(c.path("config", "egress.yaml"), fmt.Appendf(nil, egressConfig, socket), 0o600)
}

// DirectURL is the API server's own address.
func (c *Config) DirectURL() string { return fmt.Sprintf("https://%s:%d", c.Address, c.APIPort) }

func (c *Config) hasRealNode() bool { return c.Address != Loopback }

func (c *Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

func randomToken() string {
	data := make([]byte, 24)
	_, _ = rand.Read(data)
	return hex.EncodeToString(data)
}

// FreePorts asks the kernel for ports that are free on loopback.
func FreePorts(count int) ([]int, error) {
	ports := make([]int, 0, count)
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Kept open until all are chosen, so that none is given twice.
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
