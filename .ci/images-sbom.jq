# `platctl images --output json` as a CycloneDX document. A purl of the type `oci` would need a digest; these have tags.
def part:
  (.upstream | sub("@sha256:.*"; "") | capture("^(?<registry>[^/]+)/(?<path>.+):(?<tag>[^:/]+)$")) as $name
  | ("pkg:docker/\($name.path)@\($name.tag)"
     + if $name.registry == "docker.io" then "" else "?repository_url=\($name.registry | @uri)" end) as $purl
  | {
      type: "container", "bom-ref": $purl, name: "\($name.registry)/\($name.path)", version: $name.tag, purl: $purl,
      properties: [.components[] | {name: "platctl:component", value: .}]
    };

{
  bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
  metadata: {
    timestamp: $time,
    component: {type: "application", "bom-ref": "platctl", name: "platctl", version: $version}
  },
  components: [.[] | part]
}
