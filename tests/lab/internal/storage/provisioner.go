// Package storage provisions a PersistentVolume for every claim of the lab's
// default StorageClass, and removes it with the claim. Nothing is ever mounted.
package storage

import (
	"context"
	"log"
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
	provisioner = "lab.platctl.dev/simulated"

	provisionerAnnotation  = "volume.kubernetes.io/storage-provisioner"
	selectedNodeAnnotation = "volume.kubernetes.io/selected-node"
	provisionedBy          = "pv.kubernetes.io/provisioned-by"
)

// CreateClass makes the default StorageClass.
func CreateClass(ctx context.Context, client kubernetes.Interface) error {
	mode, reclaim, expand := storage.VolumeBindingWaitForFirstConsumer, core.PersistentVolumeReclaimDelete, true
	class := &storage.StorageClass{
		ObjectMeta: meta.ObjectMeta{
			Name:        ClassName,
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner: provisioner, VolumeBindingMode: &mode, ReclaimPolicy: &reclaim, AllowVolumeExpansion: &expand,
	}
	_, err := client.StorageV1().StorageClasses().Create(ctx, class, meta.CreateOptions{})
	return err
}

// Watch provisions and cleans up from informer events.
func Watch(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) {
	onClaim := func(object any) {
		claim, ok := object.(*core.PersistentVolumeClaim)
		if ok && wants(claim) {
			attempt(ctx, "provision for claim "+claim.Namespace+"/"+claim.Name, func() error { return provision(ctx, client, claim) })
		}
	}
	onVolume := func(object any) {
		volume, ok := object.(*core.PersistentVolume)
		if ok && volume.Annotations[provisionedBy] == provisioner && volume.Status.Phase == core.VolumeReleased {
			attempt(ctx, "delete volume "+volume.Name, func() error {
				return client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
			})
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

func provision(ctx context.Context, client kubernetes.Interface, claim *core.PersistentVolumeClaim) error {
	name := "pvc-" + string(claim.UID)
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
			PersistentVolumeSource: core.PersistentVolumeSource{HostPath: &core.HostPathVolumeSource{Path: "/simulated/" + name}},
		},
	}
	if claim.Spec.StorageClassName != nil {
		volume.Spec.StorageClassName = *claim.Spec.StorageClassName
	}
	_, err := client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	return err
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
