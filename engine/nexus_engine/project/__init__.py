"""An installation: nexus.yaml, apis.d, folders, secrets, environments."""
