// Package image writes OCI archives of one layer, for the few images that the lab
// itself brings: there is no registry here, so containerd imports them from files.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Image is an image to be written.
type Image struct {
	// Reference is the full name, registry and tag included.
	Reference  string
	Entrypoint []string
	// Files maps paths in the image to files of this machine.
	Files map[string]string
}

// descriptor points to a blob of the archive, as the OCI image layout has it.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Write makes the archive.
func (i Image) Write(target string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write image %s to %s: %w", i.Reference, target, err)
		}
	}()
	layer, err := os.CreateTemp(filepath.Dir(target), ".layer-")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	digest := sha256.New()
	if err := i.writeLayer(io.MultiWriter(layer, digest)); err != nil {
		return err
	}
	size, err := layer.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	archive, err := os.Create(target)
	if err != nil {
		return err
	}
	defer archive.Close()
	layerDescriptor := descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: name(digest.Sum(nil)), Size: size}
	if err := i.writeArchive(archive, layer, layerDescriptor); err != nil {
		return err
	}
	return archive.Close()
}

func (i Image) writeArchive(archive io.Writer, layer io.Reader, layerDescriptor descriptor) error {
	config, configDescriptor, err := blob("application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": i.Entrypoint, "Env": []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layerDescriptor.Digest}},
	})
	if err != nil {
		return err
	}
	manifest, manifestDescriptor, err := blob("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": configDescriptor, "layers": []descriptor{layerDescriptor},
	})
	if err != nil {
		return err
	}
	// containerd names the image by the first of them; the second is for every other reader.
	manifestDescriptor.Annotations = map[string]string{
		"io.containerd.image.name": i.Reference, "org.opencontainers.image.ref.name": i.Reference,
	}
	index, _, err := blob("application/vnd.oci.image.index.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []descriptor{manifestDescriptor},
	})
	if err != nil {
		return err
	}
	writer := tar.NewWriter(archive)
	for _, entry := range []struct {
		path    string
		content io.Reader
		size    int64
	}{
		{"oci-layout", strings.NewReader(ociLayout), int64(len(ociLayout))},
		{"index.json", bytes.NewReader(index), int64(len(index))},
		{blobPath(manifestDescriptor), bytes.NewReader(manifest), manifestDescriptor.Size},
		{blobPath(configDescriptor), bytes.NewReader(config), configDescriptor.Size},
		{blobPath(layerDescriptor), layer, layerDescriptor.Size},
	} {
		if err := writer.WriteHeader(&tar.Header{Name: entry.path, Mode: 0o644, Size: entry.size}); err != nil {
			return err
		}
		if _, err := io.Copy(writer, entry.content); err != nil {
			return err
		}
	}
	return writer.Close()
}

const ociLayout = `{"imageLayoutVersion":"1.0.0"}`

func blob(mediaType string, content any) ([]byte, descriptor, error) {
	data, err := json.Marshal(content)
	digest := sha256.Sum256(data)
	return data, descriptor{MediaType: mediaType, Digest: name(digest[:]), Size: int64(len(data))}, err
}

func name(digest []byte) string { return "sha256:" + hex.EncodeToString(digest) }

func blobPath(d descriptor) string { return "blobs/sha256/" + strings.TrimPrefix(d.Digest, "sha256:") }

// writeLayer has no times and no owners in it: same files, same digest.
func (i Image) writeLayer(target io.Writer) error {
	writer := tar.NewWriter(target)
	directories := map[string]bool{}
	paths := make([]string, 0, len(i.Files))
	for file := range i.Files {
		paths = append(paths, file)
	}
	slices.Sort(paths)
	if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return err
	}
	for _, file := range paths {
		inside := strings.TrimPrefix(path.Clean(file), "/")
		if err := addParents(writer, inside, directories); err != nil {
			return err
		}
		if err := addFile(writer, inside, i.Files[file]); err != nil {
			return err
		}
	}
	return writer.Close()
}

func addParents(writer *tar.Writer, inside string, known map[string]bool) error {
	parent := path.Dir(inside)
	if parent == "." || known[parent] {
		return nil
	}
	if err := addParents(writer, parent, known); err != nil {
		return err
	}
	known[parent] = true
	return writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: parent + "/", Mode: 0o755})
}

func addFile(writer *tar.Writer, inside, source string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", source)
	}
	mode := info.Mode() & fs.ModePerm
	if err := writer.WriteHeader(&tar.Header{Name: inside, Mode: int64(mode), Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(writer, file)
	return err
}
