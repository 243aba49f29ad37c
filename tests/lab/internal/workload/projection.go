package workload

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// projection keeps the volumes of a container as files, as a kubelet would, and
// faster: a changed Secret is there within a second.
type projection struct {
	around  *Surroundings
	pod     *core.Pod
	mounts  []core.VolumeMount
	root    string
	volumes string

	mutex  sync.Mutex
	tokens map[string]issuedToken
}

type issuedToken struct {
	text  string
	renew time.Time
}

func (p *projection) keepFresh(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := p.refresh(ctx); err != nil && ctx.Err() == nil {
				log.Printf("volumes of %s/%s: %v", p.pod.Namespace, p.pod.Name, err)
			}
		}
	}
}

func (p *projection) refresh(ctx context.Context) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if err := os.MkdirAll(p.root, 0o755); err != nil {
		return err
	}
	for _, mount := range p.mounts {
		for _, volume := range p.pod.Spec.Volumes {
			if volume.Name != mount.Name {
				continue
			}
			if err := p.project(ctx, volume); err != nil {
				return fmt.Errorf("%s: %w", volume.Name, err)
			}
			if err := p.mount(mount); err != nil {
				return err
			}
		}
	}
	return nil
}

// mount makes the container's path a link to the volume, or into it by subPath.
func (p *projection) mount(mount core.VolumeMount) error {
	target := filepath.Join(p.volumes, mount.Name, mount.SubPath)
	link := filepath.Join(p.root, mount.MountPath)
	if existing, err := os.Readlink(link); err == nil && existing == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	_ = os.Remove(link)
	err := os.Symlink(target, link)
	if os.IsExist(err) {
		// A path inside another mount that has been used already.
		return nil
	}
	return err
}

func (p *projection) project(ctx context.Context, volume core.Volume) error {
	dir := filepath.Join(p.volumes, volume.Name)
	if volume.PersistentVolumeClaim != nil {
		return p.claim(ctx, dir, volume.PersistentVolumeClaim.ClaimName)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string][]byte{}
	var err error
	switch {
	case volume.Secret != nil:
		err = p.addSecret(files, volume.Secret.SecretName, volume.Secret.Items)
	case volume.ConfigMap != nil:
		err = p.addConfigMap(files, volume.ConfigMap.Name, volume.ConfigMap.Items)
	case volume.DownwardAPI != nil:
		p.addFields(files, volume.DownwardAPI.Items)
	case volume.Projected != nil:
		err = p.addSources(ctx, files, volume)
	default:
		// emptyDir and host paths are plain directories here.
		return nil
	}
	if err != nil {
		return err
	}
	return writeFiles(dir, files)
}

func (p *projection) addSources(ctx context.Context, files map[string][]byte, volume core.Volume) error {
	for i, source := range volume.Projected.Sources {
		var err error
		switch {
		case source.Secret != nil:
			err = p.addSecret(files, source.Secret.Name, source.Secret.Items)
		case source.ConfigMap != nil:
			err = p.addConfigMap(files, source.ConfigMap.Name, source.ConfigMap.Items)
		case source.DownwardAPI != nil:
			p.addFields(files, source.DownwardAPI.Items)
		case source.ServiceAccountToken != nil:
			var token string
			token, err = p.token(ctx, fmt.Sprint(volume.Name, i), source.ServiceAccountToken)
			files[source.ServiceAccountToken.Path] = []byte(token)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// token asks for a token of the pod's ServiceAccount, bound to the pod, and
// renews it when four fifths of its life have passed.
func (p *projection) token(ctx context.Context, key string, source *core.ServiceAccountTokenProjection) (string, error) {
	if known := p.tokens[key]; time.Now().Before(known.renew) {
		return known.text, nil
	}
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef:    &authentication.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.pod.Name, UID: p.pod.UID},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	accounts := p.around.Client.CoreV1().ServiceAccounts(p.pod.Namespace)
	answer, err := accounts.CreateToken(ctx, p.pod.Spec.ServiceAccountName, request, meta.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of ServiceAccount %s: %w", p.pod.Spec.ServiceAccountName, err)
	}
	life := time.Until(answer.Status.ExpirationTimestamp.Time)
	p.tokens[key] = issuedToken{answer.Status.Token, time.Now().Add(life * 4 / 5)}
	return answer.Status.Token, nil
}

func (p *projection) addSecret(files map[string][]byte, name string, items []core.KeyToPath) error {
	secret, err := p.around.References.Secrets.Secrets(p.pod.Namespace).Get(name)
	if apierrors.IsNotFound(err) {
		// Optional, or the node would not have started the pod.
		return nil
	} else if err != nil {
		return err
	}
	add(files, secret.Data, items)
	return nil
}

func (p *projection) addConfigMap(files map[string][]byte, name string, items []core.KeyToPath) error {
	configMap, err := p.around.References.ConfigMaps.ConfigMaps(p.pod.Namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	data := map[string][]byte{}
	for key, value := range configMap.BinaryData {
		data[key] = value
	}
	for key, value := range configMap.Data {
		data[key] = []byte(value)
	}
	add(files, data, items)
	return nil
}

func add(files, data map[string][]byte, items []core.KeyToPath) {
	for key, value := range data {
		if len(items) == 0 {
			files[key] = value
		}
	}
	for _, item := range items {
		if value, found := data[item.Key]; found {
			files[item.Path] = value
		}
	}
}

func (p *projection) addFields(files map[string][]byte, items []core.DownwardAPIVolumeFile) {
	for _, item := range items {
		if item.FieldRef == nil {
			continue
		}
		switch item.FieldRef.FieldPath {
		case "metadata.labels":
			files[item.Path] = lines(p.pod.Labels)
		case "metadata.annotations":
			files[item.Path] = lines(p.pod.Annotations)
		default:
			launch := Launch{Pod: p.pod, PodIP: p.pod.Status.PodIP}
			files[item.Path] = []byte(launch.field(item.FieldRef.FieldPath))
		}
	}
}

func lines(values map[string]string) []byte {
	var rows []string
	for name, value := range values {
		rows = append(rows, fmt.Sprintf("%s=%q", name, value))
	}
	sort.Strings(rows)
	return []byte(strings.Join(rows, "\n"))
}

// writeFiles replaces changed files by rename, so that no reader sees half a file,
// and removes those that are no longer there.
func writeFiles(dir string, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	present, err := os.ReadDir(dir)
	for _, file := range present {
		if _, wanted := files[file.Name()]; !wanted && file.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, file.Name()))
		}
	}
	return err
}
