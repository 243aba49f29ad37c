package postgres

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

var (
	clusters = schema.GroupVersionResource{Group: "postgresql.cnpg.io", Version: "v1", Resource: "clusters"}
	secrets  = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// cluster is what an instance wants to know of its Cluster.
type cluster struct {
	targetPrimary, currentPrimary string
	serverSecret, secretVersion   string
	operatorHash                  string
	configHash                    string
	// synchronous is whether any `synchronous` method is set; standbys then count for the quorum.
	synchronous bool
}

// api acts as the instance's ServiceAccount, so that the Role which the operator
// makes for it is put to the test.
type api struct {
	client          dynamic.Interface
	namespace, name string
}

func newAPI(config *rest.Config, pod *core.Pod) *api {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + pod.Namespace + ":" + pod.Spec.ServiceAccountName,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + pod.Namespace, "system:authenticated"},
	}
	// The only error is a malformed configuration, and the lab has used it already.
	return &api{
		client:    dynamic.NewForConfigOrDie(config),
		namespace: pod.Namespace, name: pod.Labels[clusterLabel],
	}
}

func (a *api) cluster(ctx context.Context) (*cluster, error) {
	object, err := a.client.Resource(clusters).Namespace(a.namespace).Get(ctx, a.name, meta.GetOptions{})
	if err != nil {
		return nil, err
	}
	return readCluster(object)
}

func readCluster(object *unstructured.Unstructured) (*cluster, error) {
	text := func(path ...string) string {
		value, _, _ := unstructured.NestedString(object.Object, path...)
		return value
	}
	settings, _, _ := unstructured.NestedMap(object.Object, "spec", "postgresql")
	// encoding/json sorts the keys of maps, so all instances come to the same hash.
	encoded, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(encoded)
	return &cluster{
		targetPrimary: text("status", "targetPrimary"), currentPrimary: text("status", "currentPrimary"),
		serverSecret:  text("status", "certificates", "serverTLSSecret"),
		secretVersion: text("status", "secretsResourceVersion", "serverSecretVersion"),
		operatorHash:  text("status", "cloudNativePGOperatorHash"),
		configHash:    hex.EncodeToString(hash[:]),
		synchronous:   settings["synchronous"] != nil,
	}, nil
}

// announce writes what the operator waits for after it has chosen a primary.
func (a *api) announce(ctx context.Context, pod string) error {
	patch, err := json.Marshal(map[string]any{"status": map[string]string{
		"currentPrimary":          pod,
		"currentPrimaryTimestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00"),
	}})
	if err != nil {
		return err
	}
	_, err = a.client.Resource(clusters).Namespace(a.namespace).
		Patch(ctx, a.name, types.MergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}

// certificate is the cluster's server certificate; the operator checks that its CA
// has signed it, not for which name.
func (a *api) certificate(ctx context.Context, secret string) (*tls.Certificate, error) {
	object, err := a.client.Resource(secrets).Namespace(a.namespace).Get(ctx, secret, meta.GetOptions{})
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(object.Object["data"])
	if err != nil {
		return nil, err
	}
	var pair map[string][]byte
	if err := json.Unmarshal(data, &pair); err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(pair[core.TLSCertKey], pair[core.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", secret, err)
	}
	return &certificate, nil
}
