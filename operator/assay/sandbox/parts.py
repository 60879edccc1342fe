"""How each part of the cluster is started: its configuration files, its command line, its probe."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from assay.sandbox.layout import API_PORT, DNS_IP, NODE_IP, POD_NETWORK, SERVICE_NETWORK, Layout, program

TOKENS = {  # static tokens of the parts: user, groups. The network they are good for ends at the namespace.
    "admin": ("assay:admin", "system:masters"),
    "scheduler": ("system:kube-scheduler", ""),
    "controllers": ("system:kube-controller-manager", ""),
    "proxy": ("system:kube-proxy", ""),
    "node": ("system:node:{node}", "system:nodes"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the cluster."""

    name: str
    argv: tuple[str, ...]
    ready: str
    """Loopback URL (http or https) that answers 200 when the part is ready, or unix:<socket>, or empty."""


def parts(layout: Layout) -> list[Part]:
    """Return the cluster's processes in the order in which they start."""
    config, pki = layout.config, layout.pki
    kubernetes = program("kubernetes")

    def conf(name: str) -> str:
        return str(config / f"{name}.kubeconfig")

    return [
        Part(
            "etcd",
            (
                kubernetes, "etcd", "--name=default", f"--data-dir={layout.root / 'etcd'}",
                "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                "--initial-cluster=default=http://127.0.0.1:2380",
                "--unsafe-no-fsync",  # a sandbox outlives no power cut
            ),
            "http://127.0.0.1:2379/health",
        ),
        Part(
            "kube-apiserver",
            (
                kubernetes, "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--secure-port={API_PORT}",
                f"--advertise-address={NODE_IP}", "--authorization-mode=Node,RBAC",
                f"--requestheader-client-ca-file={pki / 'ca.pem'}", "--requestheader-allowed-names=front-proxy",
                f"--token-auth-file={config / 'tokens.csv'}", f"--client-ca-file={pki / 'ca.pem'}",
                f"--tls-cert-file={pki / 'apiserver.pem'}", f"--tls-private-key-file={pki / 'apiserver.key'}",
                f"--kubelet-client-certificate={pki / 'client.pem'}", f"--kubelet-client-key={pki / 'client.key'}",
                f"--kubelet-certificate-authority={pki / 'ca.pem'}",
                "--kubelet-preferred-address-types=InternalIP",  # else `logs` and `exec` look the node's name up
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={pki / 'tokens.key'}",
                f"--service-account-signing-key-file={pki / 'tokens.key'}",
                f"--service-cluster-ip-range={SERVICE_NETWORK}", "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true", "--anonymous-auth=true",
            ),
            f"https://127.0.0.1:{API_PORT}/readyz",
        ),
        Part(
            "kube-controller-manager",
            (
                kubernetes, "kube-controller-manager", f"--kubeconfig={conf('controllers')}",
                f"--authentication-kubeconfig={conf('controllers')}",
                f"--authorization-kubeconfig={conf('controllers')}",
                f"--service-account-private-key-file={pki / 'tokens.key'}", f"--root-ca-file={pki / 'ca.pem'}",
                "--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
            ),
            "https://127.0.0.1:10257/healthz",
        ),
        Part(
            "kube-scheduler",
            (
                kubernetes, "kube-scheduler", f"--kubeconfig={conf('scheduler')}",
                f"--authentication-kubeconfig={conf('scheduler')}", f"--authorization-kubeconfig={conf('scheduler')}",
                "--leader-elect=false", "--bind-address=127.0.0.1",
            ),
            "https://127.0.0.1:10259/healthz",
        ),
        Part("containerd", ("containerd", f"--config={config / 'containerd.toml'}"), f"unix:{layout.containerd}"),
        Part(
            "kubelet",
            (
                kubernetes, "kubelet", f"--config={config / 'kubelet.json'}", f"--kubeconfig={conf('node')}",
                f"--hostname-override={layout.node}", f"--node-ip={NODE_IP}",
            ),
            "http://127.0.0.1:10248/healthz",
        ),
        Part("kube-proxy", (kubernetes, "kube-proxy", f"--config={config / 'proxy.json'}"),
             "http://127.0.0.1:10249/healthz"),
    ]  # fmt: skip


def write_configuration(layout: Layout) -> None:
    """Write every file that `parts` names."""
    for folder in (layout.logs, layout.config, layout.pki, layout.root / "cni", layout.root / "pods"):
        folder.mkdir(parents=True, exist_ok=True)
    _write_certificates(layout)
    lines = []
    for token, (user, groups) in TOKENS.items():
        lines.append(f'{token}-{layout.name},{user.format(node=layout.node)},{token},"{groups}"')
        server = f"https://127.0.0.1:{API_PORT}"
        (layout.config / f"{token}.kubeconfig").write_text(json.dumps(kubeconfig(layout, token, server)))
    (layout.config / "tokens.csv").write_text("\n".join(lines) + "\n")
    files: dict[str, Callable[[Layout], Any]] = {
        "config/kubelet.json": _kubelet,
        "config/proxy.json": _proxy,
        "cni/10-assay.conflist": _network,
    }
    for path, content in files.items():
        (layout.root / path).write_text(json.dumps(content(layout), indent=1))
    (layout.config / "containerd.toml").write_text(_containerd(layout))
    (layout.config / "resolv.conf").write_text(f"nameserver {DNS_IP}\n")
    for written in layout.config.iterdir():
        written.chmod(0o600)


def kubeconfig(layout: Layout, token: str, server: str) -> dict[str, Any]:
    """Return a kubeconfig for one of `TOKENS`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "assay",
        "contexts": [{"name": "assay", "context": {"cluster": "assay", "user": token}}],
        "clusters": [
            {"name": "assay", "cluster": {"server": server, "certificate-authority": str(layout.pki / "ca.pem")}}
        ],
        "users": [{"name": token, "user": {"token": f"{token}-{layout.name}"}}],
    }


def _write_certificates(layout: Layout) -> None:
    import trustme  # noqa: PLC0415 - half a second that only `up` should pay

    pki, authority = layout.pki, trustme.CA()
    authority.cert_pem.write_to_path(str(pki / "ca.pem"))
    names = ("127.0.0.1", "localhost", NODE_IP, "10.96.0.1", layout.node, "kubernetes.default.svc")
    issued = {
        "apiserver": authority.issue_cert(*names),
        "client": authority.issue_cert(
            "kube-apiserver.assay", common_name="kube-apiserver", organization_name="system:masters"
        ),
        "tokens": authority.issue_cert("tokens.assay"),
    }
    for name, certificate in issued.items():
        (pki / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(str(pki / f"{name}.key"))
        (pki / f"{name}.key").chmod(0o600)


def _kubelet(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.pem")},
        },
        "tlsCertFile": str(layout.pki / "apiserver.pem"),
        "tlsPrivateKeyFile": str(layout.pki / "apiserver.key"),
        "containerRuntimeEndpoint": f"unix://{layout.containerd}",
        "cgroupDriver": "cgroupfs",
        # Such machines have cgroups v1 in a hybrid hierarchy, without the delegation that a pod hierarchy needs.
        "failCgroupV1": False,
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(layout.config / "resolv.conf"),
        "podLogsDir": str(layout.root / "pods"),
        "failSwapOn": False,
        "maxPods": 110,
        "serializeImagePulls": False,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # images cannot be pulled again
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
        "registryPullQPS": 0,
        "oomScoreAdj": 0,
    }


def _proxy(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": layout.node,
        "clientConnection": {"kubeconfig": str(layout.config / "proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
        "oomScoreAdj": 0,
    }


def _network(layout: Layout) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "assay",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isDefaultGateway": True,
                "hairpinMode": True,
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.root / "cni-addresses"),
                    "ranges": [[{"subnet": POD_NETWORK, "gateway": NODE_IP}]],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd(layout: Layout) -> str:
    return f"""version = 2
root = "{layout.root / "containerd"}"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{layout.containerd}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/assay/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{layout.root / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""
