"""The host's metrics as vhostmd and KubeVirt give them to guests, from the guest's end.

`disk`, `port` and `xenstore` each know one way to the host's document; `values` knows which of its names are which of
ours, in both directions; `told` is what `guestagent get` prints where there is no Virtwire; `whose` is which domain we
are. All of it is light: `guestagent dump` stands in for a program in C that is started every few seconds.
"""
