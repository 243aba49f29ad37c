// A layer: a directory, or its difference to another one, as a compressed tar.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The time of every file. Not zero: some programs take that as "no time".
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// writeLayer gives the hash of the tar; the caller hashes the compressed bytes that it is handed.
func writeLayer(output io.Writer, directory, base string) (hash.Hash, error) {
	// One worker, or the bytes would depend on the machine.
	compressed, err := zstd.NewWriter(output, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	plain := sha256.New()
	writer := layerWriter{
		Writer: tar.NewWriter(io.MultiWriter(compressed, plain)),
		root:   directory, base: base, links: map[uint64]string{},
	}
	// WalkDir goes in lexical order.
	if err := filepath.WalkDir(directory, writer.add); err != nil {
		return nil, err
	}
	if base != "" {
		if err := filepath.WalkDir(base, writer.addRemoved); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return plain, compressed.Close()
}

type layerWriter struct {
	*tar.Writer
	root, base string
	links      map[uint64]string // names of files with several names, by inode
}

func (w *layerWriter) add(path string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	name, err := filepath.Rel(w.root, path)
	if err != nil || name == "." {
		return err
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	// Devices and sockets are the container runtime's affair.
	if !info.Mode().IsRegular() && !info.IsDir() && info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	if w.base != "" {
		same, err := isSame(path, filepath.Join(w.base, name), info)
		if err != nil || same {
			return err
		}
	}
	return w.put(path, name, info)
}

func (w *layerWriter) put(path, name string, info fs.FileInfo) error {
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name = name
	if info.IsDir() {
		header.Name += "/"
	}
	header.Uname, header.Gname = "", ""
	header.ModTime, header.AccessTime, header.ChangeTime = epoch, time.Time{}, time.Time{}
	header.Format = tar.FormatPAX
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no owner known", path)
	}
	if info.Mode().IsRegular() && owner.Nlink > 1 {
		if first, ok := w.links[owner.Ino]; ok {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
			return w.WriteHeader(header)
		}
		w.links[owner.Ino] = name
	}
	if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

// addRemoved marks what is in the base and not in the directory.
func (w *layerWriter) addRemoved(path string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	name, err := filepath.Rel(w.base, path)
	if err != nil {
		return err
	}
	_, err = os.Lstat(filepath.Join(w.root, name))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	header := tar.Header{
		Name:     filepath.Join(filepath.Dir(name), ".wh."+entry.Name()),
		Typeflag: tar.TypeReg, ModTime: epoch, Format: tar.FormatPAX,
	}
	if err := w.WriteHeader(&header); err != nil {
		return err
	}
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// isSame says whether the base has the same thing at other, times apart.
func isSame(path, other string, info fs.FileInfo) (bool, error) {
	there, err := os.Lstat(other)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	otherOwner, otherOK := there.Sys().(*syscall.Stat_t)
	if !ok || !otherOK || info.Mode() != there.Mode() || owner.Uid != otherOwner.Uid || owner.Gid != otherOwner.Gid {
		return false, nil
	}
	switch {
	case info.IsDir():
		return true, nil
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return false, err
		}
		otherTarget, err := os.Readlink(other)
		return target == otherTarget, err
	case info.Size() != there.Size():
		return false, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	otherContent, err := os.ReadFile(other)
	return bytes.Equal(content, otherContent), err
}
