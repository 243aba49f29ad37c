package workload

import (
	"fmt"
	"regexp"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	listers "k8s.io/client-go/listers/core/v1"
)

// References looks up Secrets and ConfigMaps.
type References struct {
	Secrets    listers.SecretLister
	ConfigMaps listers.ConfigMapLister
}

func (l *Launch) addContainerEnvironment(container core.Container, result map[string]string) error {
	references := l.kind.Around.References
	for _, from := range container.EnvFrom {
		if from.SecretRef != nil {
			if secret, err := references.Secrets.Secrets(l.Pod.Namespace).Get(from.SecretRef.Name); err == nil {
				for key, value := range secret.Data {
					result[from.Prefix+key] = string(value)
				}
			}
		}
		if from.ConfigMapRef != nil {
			if configMap, err := references.ConfigMaps.ConfigMaps(l.Pod.Namespace).Get(from.ConfigMapRef.Name); err == nil {
				for key, value := range configMap.Data {
					result[from.Prefix+key] = value
				}
			}
		}
	}
	for _, env := range container.Env {
		value, found, err := l.valueOf(env, result)
		if err != nil {
			return fmt.Errorf("environment variable %s: %w", env.Name, err)
		}
		if found {
			result[env.Name] = l.At(value)
		}
	}
	return nil
}

func (l *Launch) valueOf(env core.EnvVar, sofar map[string]string) (string, bool, error) {
	source := env.ValueFrom
	switch {
	case source == nil:
		return expand(env.Value, sofar), true, nil
	case source.FieldRef != nil:
		return l.field(source.FieldRef.FieldPath), true, nil
	case source.ResourceFieldRef != nil:
		return l.resource(source.ResourceFieldRef), true, nil
	case source.SecretKeyRef != nil:
		ref := source.SecretKeyRef
		secret, err := l.kind.Around.References.Secrets.Secrets(l.Pod.Namespace).Get(ref.Name)
		if err != nil {
			return "", false, unlessOptional(ref.Optional, err)
		}
		value, found := secret.Data[ref.Key]
		return string(value), found, nil
	case source.ConfigMapKeyRef != nil:
		ref := source.ConfigMapKeyRef
		configMap, err := l.kind.Around.References.ConfigMaps.ConfigMaps(l.Pod.Namespace).Get(ref.Name)
		if err != nil {
			return "", false, unlessOptional(ref.Optional, err)
		}
		value, found := configMap.Data[ref.Key]
		return value, found, nil
	}
	return "", false, nil
}

func unlessOptional(optional *bool, err error) error {
	if optional != nil && *optional {
		return nil
	}
	return err
}

var keyedField = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.+)'\]$`)

func (l *Launch) field(path string) string {
	if match := keyedField.FindStringSubmatch(path); match != nil {
		if match[1] == "labels" {
			return l.Pod.Labels[match[2]]
		}
		return l.Pod.Annotations[match[2]]
	}
	switch path {
	case "metadata.name":
		return l.Pod.Name
	case "metadata.namespace":
		return l.Pod.Namespace
	case "metadata.uid":
		return string(l.Pod.UID)
	case "spec.nodeName":
		return l.Pod.Spec.NodeName
	case "spec.serviceAccountName":
		return l.Pod.Spec.ServiceAccountName
	case "status.podIP", "status.podIPs":
		return l.PodIP
	case "status.hostIP", "status.hostIPs":
		return l.Pod.Status.HostIP
	}
	return ""
}

// resource gives a limit or request as the kubelet does: rounded up to whole
// units of the divisor.
func (l *Launch) resource(ref *core.ResourceFieldSelector) string {
	list, name := l.container.Resources.Limits, ref.Resource
	if len(name) > 9 && name[:9] == "requests." {
		list = l.container.Resources.Requests
		name = name[9:]
	} else if len(name) > 7 {
		name = name[7:]
	}
	quantity, found := list[core.ResourceName(name)]
	if !found {
		return "1"
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, unit := quantity.MilliValue(), divisor.MilliValue()
	return fmt.Sprint((value + unit - 1) / unit)
}

var reference = regexp.MustCompile(`\$\$|\$\(([^)]+)\)`)

// expand replaces $(NAME) as Kubernetes does: unknown names stay, $$ is a dollar.
func expand(text string, values map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, known := values[found[2:len(found)-1]]; known {
			return value
		}
		return found
	})
}
