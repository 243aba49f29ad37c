// Package node simulates the nodes of the lab: it registers Node objects, keeps
// their leases, and brings the pods bound to them through the life a kubelet would
// give them. No container is ever run; what is real behind a pod is decided by
// package workload.
package node

import (
	"context"
	"fmt"
	"log"
	"time"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// HostIP is every node's address: all of them share one fake kubelet.
const HostIP = "127.0.0.1"

const leaseSeconds = 40

// Names of the lab's nodes.
func Names(count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("lab-node-%d", i+1)
	}
	return names
}

// Register creates the Node objects and keeps them alive until ctx ends.
func Register(ctx context.Context, client kubernetes.Interface, names []string, kubeletPort int, version string) error {
	for _, name := range names {
		node := describe(name, kubeletPort, version)
		created, err := client.CoreV1().Nodes().Create(ctx, node, meta.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create node %s: %w", name, err)
		}
		created.Status = node.Status
		if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, created, meta.UpdateOptions{}); err != nil {
			return fmt.Errorf("set status of node %s: %w", name, err)
		}
		if err := renewLease(ctx, client, created.Name); err != nil {
			return fmt.Errorf("lease of node %s: %w", name, err)
		}
	}
	go keepAlive(ctx, client, names)
	return nil
}

func describe(name string, kubeletPort int, version string) *core.Node {
	capacity := core.ResourceList{
		core.ResourceCPU:              resource.MustParse("16"),
		core.ResourceMemory:           resource.MustParse("64Gi"),
		core.ResourceEphemeralStorage: resource.MustParse("200Gi"),
		core.ResourcePods:             resource.MustParse("250"),
	}
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{
			"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
			"topology.kubernetes.io/zone": "lab",
		}},
		Status: core.NodeStatus{
			Capacity: capacity, Allocatable: capacity, Conditions: healthy(),
			Addresses:       []core.NodeAddress{{Type: core.NodeInternalIP, Address: HostIP}, {Type: core.NodeHostName, Address: name}},
			DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: int32(kubeletPort)}},
			NodeInfo: core.NodeSystemInfo{
				KubeletVersion: version, Architecture: "amd64", OperatingSystem: "linux",
				OSImage: "platctl lab (simulated)", ContainerRuntimeVersion: "simulated://1.0.0", KernelVersion: "simulated",
			},
		},
	}
}

func healthy() []core.NodeCondition {
	now := meta.Now()
	condition := func(kind core.NodeConditionType, status core.ConditionStatus, reason string) core.NodeCondition {
		return core.NodeCondition{
			Type: kind, Status: status, Reason: reason, Message: "simulated by the lab",
			LastHeartbeatTime: now, LastTransitionTime: now,
		}
	}
	return []core.NodeCondition{
		condition(core.NodeMemoryPressure, core.ConditionFalse, "KubeletHasSufficientMemory"),
		condition(core.NodeDiskPressure, core.ConditionFalse, "KubeletHasNoDiskPressure"),
		condition(core.NodePIDPressure, core.ConditionFalse, "KubeletHasSufficientPID"),
		condition(core.NodeReady, core.ConditionTrue, "KubeletReady"),
	}
}

func keepAlive(ctx context.Context, client kubernetes.Interface, names []string) {
	ticker := time.NewTicker(leaseSeconds / 4 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, name := range names {
			if err := heartbeat(ctx, client, name); err != nil && ctx.Err() == nil {
				log.Printf("heartbeat of %s: %v", name, err)
			}
		}
	}
}

func heartbeat(ctx context.Context, client kubernetes.Interface, name string) error {
	if err := renewLease(ctx, client, name); err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue {
			return nil
		}
	}
	// The node controller gave the node up while the machine was too busy for leases.
	node.Status.Conditions = healthy()
	_, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, meta.UpdateOptions{})
	return err
}

func renewLease(ctx context.Context, client kubernetes.Interface, name string) error {
	leases := client.CoordinationV1().Leases(core.NamespaceNodeLease)
	now, seconds := meta.NowMicro(), int32(leaseSeconds)
	lease, err := leases.Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return createLease(ctx, client, name)
	} else if err != nil {
		return err
	}
	lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &now, &seconds
	_, err = leases.Update(ctx, lease, meta.UpdateOptions{})
	return err
}

// createLease waits for the namespace, which the API server makes shortly after it is ready.
func createLease(ctx context.Context, client kubernetes.Interface, name string) error {
	now, seconds := meta.NowMicro(), int32(leaseSeconds)
	lease := &coordination.Lease{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: core.NamespaceNodeLease},
		Spec:       coordination.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
	var err error
	for range 100 {
		_, err = client.CoordinationV1().Leases(core.NamespaceNodeLease).Create(ctx, lease, meta.CreateOptions{})
		if err == nil || !apierrors.IsNotFound(err) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
