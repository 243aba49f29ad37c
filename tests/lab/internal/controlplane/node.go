package controlplane

import (
	"crypto/x509/pkix"
	"fmt"
	"os"

	"platctl.dev/lab/internal/realnode"
)

// nodeTokens are lines of the token file; the names and the group are those that
// the Node authorizer and kube-proxy's built-in role are for.
func (c *Config) nodeTokens() string {
	if !c.hasRealNode() {
		return ""
	}
	return fmt.Sprintf("%s,system:node:%s,node,\"system:nodes\"\n%s,system:kube-proxy,kube-proxy\n",
		c.nodeToken, realnode.Name, c.proxyToken)
}

// NodeCredentials makes what the kubelet and kube-proxy need.
func (c *Config) NodeCredentials() (found realnode.Credentials, err error) {
	found = realnode.Credentials{
		Kubeconfig: c.path("config", "kubelet.kubeconfig"), ProxyKubeconfig: c.path("config", "kube-proxy.kubeconfig"),
		ClientCA: c.CA.CAFile(),
	}
	subject := pkix.Name{CommonName: "system:node:" + realnode.Name, Organization: []string{"system:nodes"}}
	if found.Serving, err = c.CA.Issue("kubelet-serving", subject, c.Address, realnode.Name); err != nil {
		return found, err
	}
	for file, token := range map[string]string{found.Kubeconfig: c.nodeToken, found.ProxyKubeconfig: c.proxyToken} {
		if err := os.WriteFile(file, []byte(c.Kubeconfig(c.DirectURL(), token)), 0o600); err != nil {
			return found, err
		}
	}
	return found, nil
}
