package node

import (
	"fmt"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	listers "k8s.io/client-go/listers/core/v1"
)

// blockage is why a kubelet would not start the containers of a pod yet.
type blockage struct {
	// Reason is the containers' waiting reason, Event the reason of the warning.
	Reason, Event, Message string
}

// references looks up what pods refer to.
type references struct {
	secrets    listers.SecretLister
	configMaps listers.ConfigMapLister
}

// missing finds the first Secret or ConfigMap that the pod needs and that is not there.
func (r references) missing(pod *core.Pod) *blockage {
	for _, volume := range pod.Spec.Volumes {
		if problem := r.volumeProblem(pod.Namespace, volume); problem != "" {
			return &blockage{
				Reason: "ContainerCreating", Event: "FailedMount",
				Message: fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s", volume.Name, problem),
			}
		}
	}
	for _, containers := range [][]core.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, container := range containers {
			if problem := r.environmentProblem(pod.Namespace, container); problem != "" {
				return &blockage{Reason: "CreateContainerConfigError", Event: "Failed", Message: problem}
			}
		}
	}
	return nil
}

func (r references) volumeProblem(namespace string, volume core.Volume) string {
	if source := volume.Secret; source != nil {
		return r.secretProblem(namespace, source.SecretName, source.Optional, keysOf(source.Items)...)
	}
	if source := volume.ConfigMap; source != nil {
		return r.configMapProblem(namespace, source.Name, source.Optional, keysOf(source.Items)...)
	}
	if volume.Projected == nil {
		return ""
	}
	for _, source := range volume.Projected.Sources {
		problem := ""
		if s := source.Secret; s != nil {
			problem = r.secretProblem(namespace, s.Name, s.Optional, keysOf(s.Items)...)
		} else if c := source.ConfigMap; c != nil {
			problem = r.configMapProblem(namespace, c.Name, c.Optional, keysOf(c.Items)...)
		}
		if problem != "" {
			return problem
		}
	}
	return ""
}

func (r references) environmentProblem(namespace string, container core.Container) string {
	for _, from := range container.EnvFrom {
		problem := ""
		if s := from.SecretRef; s != nil {
			problem = r.secretProblem(namespace, s.Name, s.Optional)
		} else if c := from.ConfigMapRef; c != nil {
			problem = r.configMapProblem(namespace, c.Name, c.Optional)
		}
		if problem != "" {
			return problem
		}
	}
	for _, env := range container.Env {
		if env.ValueFrom == nil {
			continue
		}
		problem := ""
		if s := env.ValueFrom.SecretKeyRef; s != nil {
			problem = r.secretProblem(namespace, s.Name, s.Optional, s.Key)
		} else if c := env.ValueFrom.ConfigMapKeyRef; c != nil {
			problem = r.configMapProblem(namespace, c.Name, c.Optional, c.Key)
		}
		if problem != "" {
			return problem
		}
	}
	return ""
}

func (r references) secretProblem(namespace, name string, optional *bool, keys ...string) string {
	if optional != nil && *optional {
		return ""
	}
	secret, err := r.secrets.Secrets(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("secret %q not found", name)
	}
	for _, key := range keys {
		if _, found := secret.Data[key]; !found {
			return fmt.Sprintf("couldn't find key %s in Secret %s/%s", key, namespace, name)
		}
	}
	return ""
}

func (r references) configMapProblem(namespace, name string, optional *bool, keys ...string) string {
	if optional != nil && *optional {
		return ""
	}
	configMap, err := r.configMaps.ConfigMaps(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("configmap %q not found", name)
	}
	for _, key := range keys {
		_, text := configMap.Data[key]
		_, binary := configMap.BinaryData[key]
		if !text && !binary {
			return fmt.Sprintf("couldn't find key %s in ConfigMap %s/%s", key, namespace, name)
		}
	}
	return ""
}

func keysOf(items []core.KeyToPath) []string {
	keys := make([]string, 0, len(items))
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}
