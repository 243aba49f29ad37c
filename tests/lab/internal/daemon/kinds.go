package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"platctl.dev/lab/internal/postgres"
	"platctl.dev/lab/internal/workload"
)

// Components that `lab up --components` knows.
func Components() []string {
	var names []string
	for _, process := range workload.Table {
		if !slices.Contains(names, process.Component) {
			names = append(names, process.Component)
		}
	}
	return names
}

// kinds picks the rows of the table that are chosen and built.
func (l *lab) kinds(around *workload.Surroundings) (kinds []workload.Kind, names []string) {
	names = []string{}
	for _, process := range workload.Table {
		if !slices.Contains(l.options.Components, process.Component) {
			continue
		}
		if _, err := os.Stat(filepath.Join(l.options.BinDir, process.Binary)); err != nil {
			continue
		}
		kinds = append(kinds, workload.ProcessKind{Process: process, Around: around})
		names = append(names, process.Label)
	}
	if slices.Contains(names, "cnpg") {
		// The operator needs instances that answer; they are a stand-in, so not among the names.
		kinds = append(kinds, postgres.NewKind(around.Client, l.restConfig()))
	}
	return kinds, names
}

// restConfig has all rights and goes past the fault proxy.
func (l *lab) restConfig() *rest.Config {
	return &rest.Config{
		Host: l.config.DirectURL(), BearerToken: l.config.AdminToken, UserAgent: "platctl-lab",
		TLSClientConfig: rest.TLSClientConfig{CAData: l.config.CA.PEM},
		QPS:             500, Burst: 1000,
	}
}

// awaitNamespaces waits until a pod could be created in the default namespace.
func awaitNamespaces(ctx context.Context, client kubernetes.Interface) error {
	var err error
	for range 300 {
		_, err = client.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{})
		if err == nil || !apierrors.IsNotFound(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return err
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func trimScheme(url string) string { return strings.TrimPrefix(url, "http://") }
