// The writer of the lab's image tars
module platctl.dev/lab/images/oci

go 1.26.4

require github.com/klauspost/compress v1.18.0
