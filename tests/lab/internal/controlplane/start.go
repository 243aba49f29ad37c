package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"platctl.dev/lab/internal/child"
)

// Start launches the four processes in order and waits for each to be healthy.
// The returned units keep them alive.
func Start(ctx context.Context, config *Config) ([]*child.Unit, error) {
	etcd := config.unit("etcd", config.path("etcd"), config.etcdURL(), fmt.Sprintf("http://127.0.0.1:%d", config.PeerPort))
	apiserver := config.unit("kube-apiserver", config.apiserverArgs()...)
	manager := config.unit("kube-controller-manager", config.managerArgs()...)
	scheduler := config.unit("kube-scheduler", config.schedulerArgs()...)
	units := []*child.Unit{etcd, apiserver, manager, scheduler}
	etcd.Start()
	if err := config.await(ctx, etcd, config.etcdURL()+"/health"); err != nil {
		return units, err
	}
	apiserver.Start()
	if err := config.await(ctx, apiserver, config.DirectURL()+"/readyz"); err != nil {
		return units, err
	}
	manager.Start()
	scheduler.Start()
	return units, nil
}

// Stop ends the processes in reverse order.
func Stop(units []*child.Unit) {
	for i := len(units) - 1; i >= 0; i-- {
		units[i].Stop(3 * time.Second)
	}
}

func (c *Config) unit(name string, args ...string) *child.Unit {
	return &child.Unit{Name: name, Prepare: func() (child.Spec, error) {
		self, err := os.Executable()
		return child.Spec{
			Name: name, Path: self, Args: append([]string{name}, args...), Env: os.Environ(), Dir: c.Dir,
			LogFile: c.path("logs", name+".log"), PidDir: c.path("pids"),
		}, err
	}}
}

func (c *Config) etcdURL() string { return fmt.Sprintf("http://127.0.0.1:%d", c.EtcdPort) }

func (c *Config) apiserverArgs() []string {
	args := []string{
		"--bind-address=" + c.Address,
		"--secure-port=" + strconv.Itoa(c.APIPort),
		"--etcd-servers=" + c.etcdURL(),
		"--service-cluster-ip-range=" + ServiceCIDR,
		"--tls-cert-file=" + c.Serving.CertFile,
		"--tls-private-key-file=" + c.Serving.KeyFile,
		"--client-ca-file=" + c.CA.CAFile(),
		"--token-auth-file=" + c.path("config", "tokens.csv"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.path("pki", "sa.key"),
		"--service-account-signing-key-file=" + c.path("pki", "sa.key"),
		"--kubelet-certificate-authority=" + c.CA.CAFile(),
		"--kubelet-client-certificate=" + c.Kubelet.CertFile,
		"--kubelet-client-key=" + c.Kubelet.KeyFile,
		"--kubelet-preferred-address-types=InternalIP",
		"--audit-policy-file=" + c.path("config", "audit.yaml"),
		"--audit-log-path=" + c.path("logs", "audit.log"),
		"--profiling=false",
	}
	if c.hasRealNode() {
		return append(args, "--advertise-address="+c.Address)
	}
	return append(args,
		// Never dialled: nobody reconciles endpoints of the kubernetes Service here.
		"--advertise-address=192.0.2.1",
		"--endpoint-reconciler-type=none",
		"--egress-selector-config-file="+c.path("config", "egress.yaml"),
	)
}

func (c *Config) managerArgs() []string {
	kubeconfig := c.path("config", "kcm.kubeconfig")
	args := []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(c.KCMPort),
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--authentication-skip-lookup=true",
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--root-ca-file=" + c.CA.CAFile(),
		"--service-account-private-key-file=" + c.path("pki", "sa.key"),
		"--cluster-signing-cert-file=" + c.CA.CAFile(),
		"--cluster-signing-key-file=" + c.CA.CAKeyFile(),
		// A lab should show what it is told quickly.
		"--concurrent-deployment-syncs=10",
	}
	if c.hasRealNode() {
		return args
	}
	// Simulated pods have loopback addresses, which the endpoints APIs refuse.
	return append(args, "--controllers=*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller")
}

func (c *Config) schedulerArgs() []string {
	kubeconfig := c.path("config", "scheduler.kubeconfig")
	return []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(c.SchedPort),
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--authentication-skip-lookup=true",
		"--leader-elect=false",
	}
}

// await polls a health URL until it answers 200, the process gives up, or time runs out.
func (c *Config) await(ctx context.Context, unit *child.Unit, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	client := c.HTTPClient()
	for {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		request.Header.Set("Authorization", "Bearer "+c.AdminToken)
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		if state := unit.State(); state.Restarts >= 3 {
			return fmt.Errorf("%s does not stay up: see %s", unit.Name, c.path("logs", unit.Name+".log"))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not healthy: see %s", unit.Name, c.path("logs", unit.Name+".log"))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// HTTPClient trusts the lab's CA.
func (c *Config) HTTPClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CA.PEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}
}
