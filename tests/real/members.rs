//! Keycloak's two members: that they are one cluster, who may talk to them, and what a person notices when one of them is lost. Each is
//! asked past the gateway, so that it is known who answers.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use regex::Regex;
use serde_json::Value;

use crate::database::{evict, query};
use crate::lab::{PATIENCE, bin, eventually};
use crate::logins::{self, AUTH, PASSWORD, USER, begin, log_in, redeem, refresh, submit};
use crate::people::Browser;
use crate::platform::Platform;
use crate::probes::{Probe, Probes};
use crate::traces::{Side, address, dropped, name, pods};

const LABEL: &str = "app.kubernetes.io/name=keycloak";
/// Of the caches, and of who is still there.
const PORTS: [u16; 2] = [7800, 57800];

/// A member, with its ports for people and for metrics forwarded to this machine. Inside its pod that is a connection of its own, so
/// neither sidecars nor policies have a say.
struct Member {
    pod: String,
    address: String,
    at: String,
    metrics: String,
    forward: Child,
}

impl Member {
    fn of(platform: &Platform, pod: &Value) -> Self {
        let mut forward = Command::new(bin().join("kubectl"));
        forward.arg("--kubeconfig").arg(platform.lab.directory().join("direct.kubeconfig"));
        forward.args(["port-forward", "-n", "iam-system", "--address", "127.0.0.1", name(pod), ":8080", ":9000"]);
        let mut forward = forward.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ports = lines.by_ref().take(2).map(|line| line.split([':', ' ']).nth(3).unwrap().to_owned());
        let [at, metrics] = ports.collect::<Vec<_>>().try_into().unwrap();
        // It tells of each connection, and ends when nobody listens to that.
        std::thread::spawn(move || lines.for_each(drop));
        let [at, metrics] = [at, metrics].map(|port: String| format!("http://127.0.0.1:{port}"));
        Self { pod: name(pod).to_owned(), address: address(pod).to_owned(), at, metrics, forward }
    }

    /// What it counts as its cluster.
    fn size(&self, browser: &Browser) -> Result<f64, String> {
        let metrics = browser.call("GET", &format!("{}/metrics", self.metrics), &[], "").expect(200).body;
        let line = metrics.lines().find(|line| line.starts_with("vendor_cluster_size"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).ok_or_else(|| "no vendor_cluster_size".to_owned())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.forward.kill();
        let _ = self.forward.wait();
    }
}

/// Both, once there are two that are ready and none besides.
fn both(platform: &Platform) -> [Member; 2] {
    let pods = eventually("two members of Keycloak", || {
        let pods = platform.lab.list(&format!("/api/v1/namespaces/iam-system/pods?labelSelector={LABEL}"));
        let is_ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
        };
        if pods.len() == 2 && pods.iter().all(is_ready) { Ok(pods) } else { Err(format!("{} pods", pods.len())) }
    });
    [Member::of(platform, &pods[0]), Member::of(platform, &pods[1])]
}

/// The members in the last view of the cluster that a member has logged.
fn view(platform: &Platform, pod: &str) -> Vec<String> {
    let log = platform.lab.kubectl(&["logs", "-n", "iam-system", pod, "-c", "keycloak"]);
    let view = Regex::new(r"ISPN00009[34]: Received new,? (?:MERGED )?cluster view .*?\) \[([^\]]*)\]").unwrap();
    let last = view.captures_iter(&log).last();
    let mut members: Vec<String> =
        last.map(|found| found[1].split(", ").map(str::to_owned).collect()).unwrap_or_default();
    members.sort_unstable();
    members
}

/// Waits until both see each other and nobody else.
fn expect_one_cluster(platform: &Platform, browser: &Browser, members: &[Member; 2]) {
    eventually("Keycloak's two members to be one cluster", || {
        let views = [0, 1].map(|index| view(platform, &members[index].pod));
        let is_in = |member: &Member| views[0].iter().any(|seen| seen.starts_with(&member.pod));
        let is_one = views[0] == views[1] && views[0].len() == 2 && members.iter().all(is_in);
        is_one.then_some(()).ok_or_else(|| format!("{views:?}"))
    });
    for member in members {
        assert_eq!(member.size(browser), Ok(2.0), "{}", member.pod);
    }
}

/// IAM-1: by their logs, by their metrics, and by the connection that is open between them.
pub(crate) fn both_are_in_one_cluster(platform: &Platform) {
    let (browser, members) = (Browser::open(platform), both(platform));
    expect_one_cluster(platform, &browser, &members);
    println!("view: {:?}", view(platform, &members[0].pod));
    for port in PORTS {
        let found =
            [connected(platform, &members[0], &members[1], port), connected(platform, &members[1], &members[0], port)];
        assert!(found.contains(&true), "no connection to port {port} between the members");
    }
}

/// Whether the kernel of a member's pod knows an open connection to the other one's port.
fn connected(platform: &Platform, member: &Member, to: &Member, port: u16) -> bool {
    let table = ["cat", "/proc/net/tcp", "/proc/net/tcp6"];
    let table = platform.exec("iam-system", &member.pod, "keycloak", &table).unwrap();
    let octets: Vec<u8> = to.address.split('.').map(|part| part.parse().unwrap()).collect();
    // As the kernel writes it: the address is one number of the machine, the port is one of the network; 01 is an open one.
    let remote = format!("{:08X}:{port:04X}", u32::from_le_bytes(octets.try_into().unwrap()));
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.any(|fields| fields.len() > 3 && fields[2].ends_with(&remote) && fields[3] == "01")
}

/// MESH-3: what the mesh leaves to Keycloak is mutual TLS all the same. Asked from the node, which no policy keeps from a pod: who has no
/// certificate or one of his own making is refused, and so is plaintext; who shows the one that the members have in their database is not.
pub(crate) fn they_talk_in_mutual_tls(platform: &Platform) {
    let (browser, members) = (Browser::open(platform), both(platform));
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let primary = pods(platform, "iam-system", "cnpg.io/cluster=postgres,cnpg.io/instanceRole=primary");
    let sql = "SELECT value FROM server_config WHERE server_config_key = 'crt_jgroups'";
    let stored: Value = serde_json::from_str(&query(platform, name(&primary[0]), "keycloak", sql).unwrap()).unwrap();
    for (key, kind) in [("crt", "CERTIFICATE"), ("prvKey", "PRIVATE KEY")] {
        std::fs::write(file(key), pem(kind, stored[key].as_str().unwrap())).unwrap();
    }
    let made = rcgen::generate_simple_self_signed(["jgroups".to_owned()]).unwrap();
    std::fs::write(file("own.crt"), made.cert.pem()).unwrap();
    std::fs::write(file("own.key"), made.signing_key.serialize_pem()).unwrap();

    for member in &members {
        let at = format!("{}:7800", member.address);
        assert_refused(&handshake(&at, "60", &[]));
        assert_refused(&handshake(&at, "60", &["-cert", &file("own.crt"), "-key", &file("own.key")]));
        // A ticket for the next time is for who was let in.
        let theirs = handshake(&at, "60", &["-cert", &file("crt"), "-key", &file("prvKey")]);
        assert!(theirs.contains(ADMITTED) && !theirs.contains("alert"), "{theirs}");

        let mut plain = TcpStream::connect(&at).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        plain.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // Closed or reset; before that at most an alert of TLS, which is a record of type 21.
        let ended = plain.read_to_end(&mut answer).map_err(|error| error.kind());
        assert!(ended.is_ok() || ended == Err(ErrorKind::ConnectionReset), "{ended:?}");
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    expect_one_cluster(platform, &browser, &members);
}

/// As `openssl` reads it, from the bare base64 that Keycloak keeps.
fn pem(kind: &str, text: &str) -> String {
    let bare: Vec<char> = text.lines().filter(|line| !line.starts_with("-----")).flat_map(str::chars).collect();
    let lines: Vec<String> = bare.chunks(64).map(|line| line.iter().collect()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// What `openssl` says in the end.
const ADMITTED: &str = "New Session Ticket arrived";

/// What a TLS client sees until the other side ends the connection, or for so many seconds. Fails unless it is TLS 1.3.
fn handshake(at: &str, seconds: &str, certificate: &[&str]) -> String {
    let mut openssl = Command::new("timeout");
    openssl.args([seconds, "openssl", "s_client", "-connect", at, "-ign_eof"]).args(certificate);
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = openssl.spawn().unwrap();
    // Open, so that it is not the client who ends it: in TLS 1.3 the refusal comes after the client's last word.
    let input = client.stdin.take();
    let output = client.wait_with_output().unwrap();
    drop(input);
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("TLSv1.3") && words.contains("BEGIN CERTIFICATE"), "no TLS at {at}: {words}");
    words
}

fn assert_refused(words: &str) {
    let refusal = Regex::new("alert (certificate required|bad certificate|certificate unknown|unknown ca)").unwrap();
    assert!(refusal.is_match(words) && !words.contains(ADMITTED), "not refused: {words}");
}

/// SEC-1: no pod but a member gets to their ports, not even one of their own namespace that its own policies let out.
pub(crate) fn nobody_else_reaches_them(platform: &Platform) {
    let members = both(platform);
    let probes = Probes::new(platform);
    let bystander = Probe::plain("iam-system", "bystander");
    probes.start(&[bystander]);
    probes.open_egress("iam-system");
    probes.expect(&bystander, &["reach", "10.96.0.1:443"], "10.96.0.1:443 connected");
    let from = probes.address(&bystander);
    for member in &members {
        for port in PORTS {
            let at = format!("{}:{port}", member.address);
            assert_eq!(probes.ask(&bystander, &["reach", &at]), format!("{at} timeout"), "{}", member.pod);
            assert!(dropped(Side::Ingress, &from, &member.address, port) > 0, "{at}: not dropped by this layer");
            // From the node it is open, so it was not for want of somebody who listens.
            TcpStream::connect((member.address.as_str(), port)).unwrap();
        }
    }
}

/// IAM-1: each step of a login at the member that did not take the step before. Where a login is between its page and its code is in the
/// caches alone, which is why this needs a cluster and not only a database.
pub(crate) fn a_login_goes_on_at_the_other_one(platform: &Platform) {
    let (browser, [one, other]) = (Browser::open(platform), both(platform));
    let token = logins::administrator(platform, &browser, &one.at);
    logins::create_person(&browser, &one.at, &token);
    let path = begin(&browser, &one.at);
    let code = submit(&browser, &other.at, &path, PASSWORD).unwrap();
    let tokens = redeem(&browser, &one.at, &code);
    let tokens = refresh(&browser, &other.at, &tokens);
    refresh(&browser, &one.at, &tokens);
    logins::delete_person(&browser, &one.at, &token);
}

/// IAM-1, IAM-2: one is lost in the middle of a login and of a session. Both go on at the other one, which may not be evicted meanwhile; new
/// people get in through the gateway; and who comes instead of the lost one knows the session.
pub(crate) fn logins_outlive_one_of_them(platform: &Platform) {
    let lab = &platform.lab;
    let (browser, members) = (Browser::open(platform), both(platform));
    expect_one_cluster(platform, &browser, &members);
    let [lost, kept] = members;
    let token = logins::administrator(platform, &browser, &lost.at);
    logins::create_person(&browser, &lost.at, &token);
    let (earlier, later) = (Browser::open(platform), Browser::open(platform));
    let path = begin(&earlier, &lost.at);
    let code = submit(&earlier, &lost.at, &path, PASSWORD).unwrap();
    let session = redeem(&earlier, &lost.at, &code);
    let path = begin(&later, &lost.at);

    lab.kubectl(&["delete", "pod", "-n", "iam-system", &lost.pod, "--force", "--grace-period=0"]);
    let budget = "/apis/policy/v1/namespaces/iam-system/poddisruptionbudgets/keycloak";
    eventually("the budget to be used up", || {
        let status = &lab.get(budget).unwrap()["status"];
        if status["disruptionsAllowed"] == 0 { Ok(()) } else { Err(status.to_string()) }
    });
    let refusal = evict(platform, &kept.pod).unwrap_err();
    assert!(refusal.contains("it would violate the pod's disruption budget"), "{refusal}");

    eventually("the other one to know that it is alone", || {
        let size = kept.size(&browser)?;
        if (size - 1.0).abs() < 0.1 { Ok(()) } else { Err(size.to_string()) }
    });
    let code = submit(&later, &kept.at, &path, PASSWORD).unwrap();
    redeem(&later, &kept.at, &code);
    let session = refresh(&earlier, &kept.at, &session);
    eventually("the gateway to know it too", || {
        let answer = browser.call("GET", &format!("{AUTH}/realms/platform"), &[], "");
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    let claims = log_in(platform, PASSWORD).unwrap();
    assert_eq!(claims["preferred_username"], USER);

    let members = both(platform);
    assert!(members.iter().any(|member| member.pod == kept.pod), "{} did not stay", kept.pod);
    expect_one_cluster(platform, &browser, &members);
    let new = members.iter().find(|member| member.pod != kept.pod).unwrap();
    refresh(&earlier, &new.at, &session);
    logins::delete_person(&browser, &new.at, &logins::administrator(platform, &browser, &new.at));
}
