package realnode

import (
	"context"
	"fmt"
	"os"

	"github.com/google/cadvisor/lib/model"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	filesystem "k8s.io/kubernetes/pkg/util/filesystem"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// RunKubelet takes: configuration file, kubeconfig. It is the kubelet's own command
// but for one thing, for which there is no setting: how many processors it finds.
func RunKubelet(args []string) int {
	if err := serveKubelet(args); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		return 1
	}
	return 0
}

func serveKubelet(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want configuration file and kubeconfig, got %d arguments", len(args))
	}
	ctx := server.SetupSignalContext()
	node := &options.KubeletServer{KubeletFlags: *options.NewKubeletFlags()}
	node.KubeConfig, node.HostnameOverride, node.NodeIP = args[1], Name, Address
	node.NodeLabels["topology.kubernetes.io/zone"] = "lab"
	loader, err := configfiles.NewFsLoader(&filesystem.DefaultFs{}, args[0])
	if err != nil {
		return err
	}
	config, err := loader.Load(ctx)
	if err != nil {
		return err
	}
	node.KubeletConfiguration = *config
	gates := utilfeature.DefaultFeatureGate
	logs.InitLogs()
	if err := logsapi.ValidateAndApply(&node.Logging, gates); err != nil {
		return err
	}
	if err := validation.ValidateKubeletConfiguration(config, gates); err != nil {
		return err
	}
	dependencies, err := kubelet.UnsecuredDependencies(ctx, node, gates)
	if err != nil {
		return err
	}
	if dependencies.CAdvisorInterface, err = newMachine(ctx, node, gates); err != nil {
		return err
	}
	return kubelet.Run(ctx, node, dependencies, gates)
}

// machine is the real one with more processors. Requests are shares of what there
// is, so more of them than processors only means that each gets less.
type machine struct{ cadvisor.Interface }

func newMachine(ctx context.Context, node *options.KubeletServer, _ featuregate.FeatureGate) (cadvisor.Interface, error) {
	images := cadvisor.NewImageFsInfoProvider(node.ContainerRuntimeEndpoint)
	roots := []string{cm.NodeAllocatableRoot(node.CgroupRoot, node.CgroupsPerQOS, node.CgroupDriver)}
	real, err := cadvisor.New(klog.FromContext(ctx), images, node.RootDirectory, roots,
		cadvisor.UsingLegacyCadvisorStats(node.ContainerRuntimeEndpoint), node.LocalStorageCapacityIsolation, false)
	return machine{real}, err
}

// MachineInfo is asked for the node's capacity.
func (m machine) MachineInfo(logger klog.Logger) (*model.MachineInfo, error) {
	found, err := m.Interface.MachineInfo(logger)
	if err != nil {
		return nil, err
	}
	claimed := found.Clone()
	claimed.NumCores = max(claimed.NumCores, processors)
	return claimed, nil
}
