// Package storage provisions a PersistentVolume for every claim of the lab's
// default StorageClass, and removes it with the claim. With a real node a volume is
// a directory; with simulated ones nothing is ever mounted.
package storage

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	// ClassName is the default StorageClass.
	ClassName   = "standard"
	provisioner = "lab.platctl.dev/storage"

	provisionerAnnotation  = "volume.kubernetes.io/storage-provisioner"
	selectedNodeAnnotation = "volume.kubernetes.io/selected-node"
	provisionedBy          = "pv.kubernetes.io/provisioned-by"
)

// Volumes is where volumes come from.
type Volumes struct {
	Client kubernetes.Interface
	// Dir holds the directories of the real node's volumes; empty if nodes are simulated.
	Dir string
}

// CreateClass makes the default StorageClass. Nothing can be refused or forgotten
// when a volume that is not there grows; a directory has no size to begin with.
func (v Volumes) CreateClass(ctx context.Context) error {
	mode, reclaim, expand := storage.VolumeBindingWaitForFirstConsumer, core.PersistentVolumeReclaimDelete, v.Dir == ""
	class := &storage.StorageClass{
		ObjectMeta: meta.ObjectMeta{
			Name:        ClassName,
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner: provisioner, VolumeBindingMode: &mode, ReclaimPolicy: &reclaim, AllowVolumeExpansion: &expand,
	}
	_, err := v.Client.StorageV1().StorageClasses().Create(ctx, class, meta.CreateOptions{})
	return err
}

// Watch provisions and cleans up from informer events.
func (v Volumes) Watch(ctx context.Context, factory informers.SharedInformerFactory) {
	onClaim := func(object any) {
		claim, ok := object.(*core.PersistentVolumeClaim)
		if ok && wants(claim) {
			attempt(ctx, "provision for claim "+claim.Namespace+"/"+claim.Name, func() error { return v.provision(ctx, claim) })
		}
	}
	onVolume := func(object any) {
		volume, ok := object.(*core.PersistentVolume)
		if ok && volume.Annotations[provisionedBy] == provisioner && volume.Status.Phase == core.VolumeReleased {
			attempt(ctx, "delete volume "+volume.Name, func() error { return v.remove(ctx, volume.Name) })
		}
	}
	_, _ = factory.Core().V1().PersistentVolumeClaims().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: onClaim, UpdateFunc: func(_, object any) { onClaim(object) },
	})
	_, _ = factory.Core().V1().PersistentVolumes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: onVolume, UpdateFunc: func(_, object any) { onVolume(object) },
	})
}

// wants tells whether the claim waits for this provisioner: the volume controller
// names it once a pod that uses the claim has been given a node.
func wants(claim *core.PersistentVolumeClaim) bool {
	return claim.Status.Phase == core.ClaimPending && claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil &&
		claim.Annotations[provisionerAnnotation] == provisioner && claim.Annotations[selectedNodeAnnotation] != ""
}

func (v Volumes) provision(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	name := "pvc-" + string(claim.UID)
	source, affinity, err := v.source(name, claim.Annotations[selectedNodeAnnotation])
	if err != nil {
		return err
	}
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisioner}},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			VolumeMode:                    claim.Spec.VolumeMode,
			ClaimRef: &core.ObjectReference{
				Kind: "PersistentVolumeClaim", APIVersion: "v1",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: source,
			NodeAffinity:           affinity,
		},
	}
	if claim.Spec.StorageClassName != nil {
		volume.Spec.StorageClassName = *claim.Spec.StorageClassName
	}
	_, err = v.Client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	return err
}

// source makes the volume's directory on a real node, which any user may write to:
// an image's user is nobody the lab could know. Being a local volume, the kubelet
// gives it to the pod's fsGroup too.
func (v Volumes) source(name, node string) (core.PersistentVolumeSource, *core.VolumeNodeAffinity, error) {
	if v.Dir == "" {
		return core.PersistentVolumeSource{HostPath: &core.HostPathVolumeSource{Path: "/simulated/" + name}}, nil, nil
	}
	path := filepath.Join(v.Dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return core.PersistentVolumeSource{}, nil, err
	}
	if err := os.Chmod(path, 0o777); err != nil {
		return core.PersistentVolumeSource{}, nil, err
	}
	affinity := &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
		MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{node}}},
	}}}}
	return core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}}, affinity, nil
}

// remove deletes the data first, so that it cannot be forgotten.
func (v Volumes) remove(ctx context.Context, name string) error {
	if v.Dir != "" {
		if err := os.RemoveAll(filepath.Join(v.Dir, name)); err != nil {
			return err
		}
	}
	return v.Client.CoreV1().PersistentVolumes().Delete(ctx, name, meta.DeleteOptions{})
}

// attempt tries a few times in the background; the object being there or gone already is success.
func attempt(ctx context.Context, what string, try func() error) {
	go func() {
		var err error
		for range 10 {
			err = try()
			if err == nil || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) || ctx.Err() != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
		log.Printf("%s: %v", what, err)
	}()
}
