package controlplane

import (
	"encoding/base64"
	"fmt"
)

// auditPolicy records who did what, without bodies; reads are left out because
// the tests look for writes.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  resources:
  - {group: coordination.k8s.io, resources: [leases]}
  - {group: "", resources: [events]}
- level: Metadata
`

// egressConfig sends everything the API server dials inside the cluster (webhooks,
// nodes, pods) to the lab's cluster-traffic proxy.
const egressConfig = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      uds:
        udsName: %s
`

// Kubeconfig renders a kubeconfig that authenticates with a token.
func (c *Config) Kubeconfig(server, token string) string {
	return c.kubeconfig(server, "token: "+token)
}

// TokenFileKubeconfig renders one whose token is read from a file and may change.
func (c *Config) TokenFileKubeconfig(server, tokenFile, namespace string) string {
	return c.kubeconfigIn(server, "tokenFile: "+tokenFile, namespace)
}

func (c *Config) kubeconfig(server, user string) string {
	return c.kubeconfigIn(server, user, "default")
}

func (c *Config) kubeconfigIn(server, user, namespace string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: platctl-lab
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: platctl-lab
  user:
    %s
contexts:
- name: platctl-lab
  context: {cluster: platctl-lab, user: platctl-lab, namespace: %s}
current-context: platctl-lab
`, server, base64.StdEncoding.EncodeToString(c.CA.PEM), user, namespace)
}
