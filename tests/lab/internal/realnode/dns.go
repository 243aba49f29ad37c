package realnode

import (
	"context"
	"fmt"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

const dnsName, dnsNamespace = "coredns", "kube-system"

// dnsConfig has no upstream: what is no name of the cluster does not exist, since
// nothing beyond the machine can be reached. A block of its own says so, because
// within one the template would come first.
const dnsConfig = `cluster.local in-addr.arpa ip6.arpa {
    errors
    health {
        lameduck 1s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 5
    }
    cache 5
    loadbalance
}
. {
    template ANY ANY {
        rcode NXDOMAIN
    }
}
`

var dnsLabels = map[string]string{"k8s-app": "kube-dns"}

// StartDNS installs CoreDNS as any cluster has it and waits until it answers.
func StartDNS(ctx context.Context, client kubernetes.Interface) error {
	named := meta.ObjectMeta{Name: dnsName, Namespace: dnsNamespace, Labels: dnsLabels}
	if err := createDNSRights(ctx, client, named); err != nil {
		return fmt.Errorf("rights of the cluster DNS: %w", err)
	}
	config := &core.ConfigMap{ObjectMeta: named, Data: map[string]string{"Corefile": dnsConfig}}
	if _, err := client.CoreV1().ConfigMaps(dnsNamespace).Create(ctx, config, meta.CreateOptions{}); err != nil {
		return err
	}
	if _, err := client.CoreV1().Services(dnsNamespace).Create(ctx, dnsService(), meta.CreateOptions{}); err != nil {
		return err
	}
	if _, err := client.AppsV1().Deployments(dnsNamespace).Create(ctx, dnsDeployment(named), meta.CreateOptions{}); err != nil {
		return err
	}
	return await(ctx, time.Minute, "the cluster DNS", func() error {
		deployment, err := client.AppsV1().Deployments(dnsNamespace).Get(ctx, dnsName, meta.GetOptions{})
		if err == nil && deployment.Status.ReadyReplicas == 0 {
			err = fmt.Errorf("the pod of Deployment %s/%s is not ready", dnsNamespace, dnsName)
		}
		return err
	})
}

func createDNSRights(ctx context.Context, client kubernetes.Interface, named meta.ObjectMeta) error {
	account := &core.ServiceAccount{ObjectMeta: named}
	if _, err := client.CoreV1().ServiceAccounts(dnsNamespace).Create(ctx, account, meta.CreateOptions{}); err != nil {
		return err
	}
	clusterWide := meta.ObjectMeta{Name: "system:coredns"}
	role := &rbac.ClusterRole{ObjectMeta: clusterWide, Rules: []rbac.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services", "pods", "namespaces"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}},
	}}
	if _, err := client.RbacV1().ClusterRoles().Create(ctx, role, meta.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbac.ClusterRoleBinding{
		ObjectMeta: clusterWide,
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: clusterWide.Name},
		Subjects:   []rbac.Subject{{Kind: "ServiceAccount", Name: dnsName, Namespace: dnsNamespace}},
	}
	_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, binding, meta.CreateOptions{})
	return err
}

func dnsService() *core.Service {
	return &core.Service{
		ObjectMeta: meta.ObjectMeta{Name: "kube-dns", Namespace: dnsNamespace, Labels: dnsLabels},
		Spec: core.ServiceSpec{
			ClusterIP: DNSAddress, Selector: dnsLabels,
			Ports: []core.ServicePort{
				{Name: "dns", Protocol: core.ProtocolUDP, Port: 53},
				{Name: "dns-tcp", Protocol: core.ProtocolTCP, Port: 53},
			},
		},
	}
}

func dnsDeployment(named meta.ObjectMeta) *apps.Deployment {
	no, yes := false, true
	container := core.Container{
		Name: dnsName, Image: dnsImage, Args: []string{"-conf", "/etc/coredns/Corefile"},
		Ports: []core.ContainerPort{
			{Name: "dns", Protocol: core.ProtocolUDP, ContainerPort: 53},
			{Name: "dns-tcp", Protocol: core.ProtocolTCP, ContainerPort: 53},
		},
		VolumeMounts: []core.VolumeMount{{Name: "config", MountPath: "/etc/coredns", ReadOnly: true}},
		SecurityContext: &core.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &core.Capabilities{Add: []core.Capability{"NET_BIND_SERVICE"}, Drop: []core.Capability{"ALL"}},
		},
		ReadinessProbe: &core.Probe{
			ProbeHandler:  core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(8181)}},
			PeriodSeconds: 1,
		},
	}
	config := core.ConfigMapVolumeSource{LocalObjectReference: core.LocalObjectReference{Name: dnsName}}
	return &apps.Deployment{
		ObjectMeta: named,
		Spec: apps.DeploymentSpec{
			Selector: &meta.LabelSelector{MatchLabels: dnsLabels},
			Template: core.PodTemplateSpec{
				ObjectMeta: meta.ObjectMeta{Labels: dnsLabels},
				Spec: core.PodSpec{
					ServiceAccountName: dnsName, PriorityClassName: "system-cluster-critical",
					DNSPolicy:  core.DNSDefault,
					Containers: []core.Container{container},
					Volumes:    []core.Volume{{Name: "config", VolumeSource: core.VolumeSource{ConfigMap: &config}}},
				},
			},
		},
	}
}
