// Package istio pins the Istio version whose CRDs the chart istio-base carries. The imported package
// itself is not used: it only makes the module, where the CRDs lie ready, a dependency.
package istio

import _ "istio.io/api/label"
