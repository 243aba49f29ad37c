package realnode

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"platctl.dev/lab/internal/child"
	"platctl.dev/lab/internal/pki"
)

// Credentials are what the kubelet and kube-proxy need from the control plane.
type Credentials struct {
	// Kubeconfig authenticates as the node, ProxyKubeconfig as kube-proxy.
	Kubeconfig, ProxyKubeconfig string
	// ClientCA signs whoever may call the kubelet; Serving is what it serves with.
	ClientCA string
	Serving  pki.Pair
}

// kubeletConfig: images come from files and must not be thrown away, and the disk
// of a developer's machine may be fuller than a node's.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
healthzBindAddress: %[1]s
tlsCertFile: %[2]s
tlsPrivateKeyFile: %[3]s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[4]s}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /%[5]s
failCgroupV1: false
enforceNodeAllocatable: []
failSwapOn: false
makeIPTablesUtilChains: false
clusterDomain: cluster.local
clusterDNS: [%[6]s]
resolvConf: ""
maxPods: %[7]d
hairpinMode: hairpin-veth
serializeImagePulls: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard:
  memory.available: 200Mi
  nodefs.available: 1Gi
  imagefs.available: 1Gi
oomScoreAdj: 0
`

// Start runs the kubelet and kube-proxy and waits until the node is ready.
func (n *Node) Start(ctx context.Context, client kubernetes.Interface, credentials Credentials) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	kubelet := filepath.Join(n.dir, "config", "kubelet.yaml")
	content := fmt.Sprintf(kubeletConfig, Address, credentials.Serving.CertFile, credentials.Serving.KeyFile,
		credentials.ClientCA, cgroupRoot, DNSAddress, maxPods)
	if err := os.WriteFile(kubelet, []byte(content), 0o644); err != nil {
		return err
	}
	proxy := filepath.Join(n.dir, "config", "kube-proxy.yaml")
	if err := os.WriteFile(proxy, fmt.Appendf(nil, proxyConfig, Address, credentials.ProxyKubeconfig, PodCIDR), 0o644); err != nil {
		return err
	}
	units := []*child.Unit{
		n.unit("kubelet", true, self, "kubelet", kubelet, credentials.Kubeconfig),
		n.unit("kube-proxy", false, self, "kube-proxy", "--config="+proxy, "--hostname-override="+Name),
	}
	for _, unit := range units {
		unit.Start()
	}
	return await(ctx, time.Minute, "node "+Name, func() error {
		for _, unit := range units {
			if unit.State().Restarts >= 3 {
				return fmt.Errorf("%s does not stay up: see %s", unit.Name, filepath.Join(n.dir, "logs", unit.Name+".log"))
			}
		}
		return isReady(ctx, client)
	})
}

func isReady(ctx context.Context, client kubernetes.Interface) error {
	node, err := client.CoreV1().Nodes().Get(ctx, Name, meta.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady && condition.Status != core.ConditionTrue {
			return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
		}
	}
	return nil
}

// proxyConfig leaves the kernel's connection tracking limits alone: they are the
// machine's.
const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
bindAddress: %[1]s
healthzBindAddress: %[1]s
metricsBindAddress: %[1]s
clientConnection: {kubeconfig: %[2]s}
clusterCIDR: %[3]s
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`
