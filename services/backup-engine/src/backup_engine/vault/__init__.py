"""The vault: chunks, maps, manifests and keys as sealed blobs. Knows blobs, not VMware, and no SQL.

The authority for every byte and for the order of writing is docs/vault-format.md; sections (§) in this
package refer to it.
"""
