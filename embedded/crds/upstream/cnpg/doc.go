// Package cnpg pins the CloudNativePG version whose CRDs the chart cnpg-operator carries.
package cnpg

import _ "github.com/cloudnative-pg/cloudnative-pg/api/v1"
