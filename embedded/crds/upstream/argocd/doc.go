// Package argocd pins the Argo CD version whose CRDs the chart argocd carries.
package argocd

import _ "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
