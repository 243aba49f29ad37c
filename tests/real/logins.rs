//! A user and an application of Keycloak's, and their way through OpenID Connect: at the gateway, or at one pod that is asked past it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::gateway::secret;
use crate::people::{Answer, Browser, encoded};
use crate::platform::Platform;

/// The gateway's name for Keycloak, which is how Keycloak names itself to everybody.
pub(crate) const AUTH: &str = "https://auth.platform.localhost";

pub(crate) const USER: &str = "lab-person";
pub(crate) const PASSWORD: &str = "a password of the lab's person";
const CLIENT: &str = "lab-application";
const CALLBACK: &str = "https://application.example/callback";
const VERIFIER: &str = "the-secret-of-the-application-that-began-this-login";

/// A token of Keycloak's first administrator.
pub(crate) fn administrator(platform: &Platform, browser: &Browser, at: &str) -> String {
    let [username, password] =
        ["username", "password"].map(|key| secret(platform, "iam-system", "keycloak-admin", key));
    let fields =
        [("grant_type", "password"), ("client_id", "admin-cli"), ("username", &username), ("password", &password)];
    let answer = browser.form(&format!("{at}/realms/master/protocol/openid-connect/token"), &fields).expect(200);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// A user and an application, made anew; the user's id.
pub(crate) fn create_person(browser: &Browser, at: &str, token: &str) -> String {
    delete_person(browser, at, token);
    let admin = format!("{at}/admin/realms/platform");
    let credentials = json!([{"type": "password", "value": PASSWORD, "temporary": false}]);
    let user = json!({
        "username": USER, "enabled": true, "email": "person@lab.example", "emailVerified": true,
        "firstName": "Lab", "lastName": "Person", "credentials": credentials,
    });
    let created = browser.json("POST", &format!("{admin}/users"), token, &user).expect(201);
    let client = json!({
        "clientId": CLIENT, "publicClient": true, "standardFlowEnabled": true, "redirectUris": [CALLBACK],
        "attributes": {"pkce.code.challenge.method": "S256"},
    });
    browser.json("POST", &format!("{admin}/clients"), token, &client).expect(201);
    created.header("location").rsplit('/').next().unwrap().to_owned()
}

pub(crate) fn delete_person(browser: &Browser, at: &str, token: &str) {
    let admin = format!("{at}/admin/realms/platform");
    for (kind, query) in [("users", format!("username={USER}&exact=true")), ("clients", format!("clientId={CLIENT}"))] {
        let found = browser.json("GET", &format!("{admin}/{kind}?{query}"), token, &Value::Null).expect(200).json();
        for thing in found.as_array().unwrap() {
            let path = format!("{admin}/{kind}/{}", thing["id"].as_str().unwrap());
            browser.json("DELETE", &path, token, &Value::Null).expect(204);
        }
    }
}

fn endpoint(at: &str, name: &str) -> String {
    format!("{at}/realms/platform/protocol/openid-connect/{name}")
}

/// A login begins: where the page's form leads to, from the host's name on.
pub(crate) fn begin(browser: &Browser, at: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(VERIFIER));
    let query = encoded(&[
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("state", "lab"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let page = browser.call("GET", &format!("{}?{query}", endpoint(at, "auth")), &[], "").expect(200);
    let form = regex::Regex::new(r#"action="([^"]+)""#).unwrap();
    let action = form.captures(&page.body).map(|found| found[1].replace("&amp;", "&"));
    let path = action.as_ref().and_then(|action| action.strip_prefix(AUTH));
    assert!(path.is_some(), "no form that leads to {AUTH}: {}", page.body);
    path.unwrap().to_owned()
}

/// The form is sent: the code for the application, or what the page says instead.
pub(crate) fn submit(browser: &Browser, at: &str, path: &str, password: &str) -> Result<String, Answer> {
    let answer = browser.form(&format!("{at}{path}"), &[("username", USER), ("password", password)]);
    let sent_on = answer.header("location").strip_prefix(CALLBACK);
    match sent_on.and_then(|rest| rest.split(['?', '&']).find_map(|part| part.strip_prefix("code="))) {
        Some(code) if answer.status == 302 => Ok(code.to_owned()),
        _ => Err(answer),
    }
}

/// The application gets its tokens.
pub(crate) fn redeem(browser: &Browser, at: &str, code: &str) -> Value {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("redirect_uri", CALLBACK),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    browser.form(&endpoint(at, "token"), &fields).expect(200).json()
}

/// The application goes on with the session that these tokens are of: new ones.
pub(crate) fn refresh(browser: &Browser, at: &str, tokens: &Value) -> Value {
    let token = tokens["refresh_token"].as_str().unwrap();
    let fields = [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token)];
    let renewed = browser.form(&endpoint(at, "token"), &fields).expect(200).json();
    assert_eq!(renewed["session_state"], tokens["session_state"], "another session: {renewed:#}");
    renewed
}

/// The authorization code flow with PKCE, as a browser and an application go it together through the gateway. Who it was, as
/// Keycloak tells the application.
pub(crate) fn log_in(platform: &Platform, password: &str) -> Result<Value, Answer> {
    let browser = Browser::open(platform);
    let discovery = browser.call("GET", &format!("{AUTH}/realms/platform/.well-known/openid-configuration"), &[], "");
    let told = discovery.expect(200).json();
    assert_eq!(told["issuer"], format!("{AUTH}/realms/platform"));
    for (key, name) in [("authorization_endpoint", "auth"), ("token_endpoint", "token")] {
        assert_eq!(told[key], endpoint(AUTH, name));
    }
    let path = begin(&browser, AUTH);
    let code = submit(&browser, AUTH, &path, password)?;
    let tokens = redeem(&browser, AUTH, &code);
    let claims = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&told["issuer"], &CLIENT.into()), "{claims:#}");
    // Keycloak takes the token as its own.
    let token = tokens["access_token"].as_str().unwrap();
    let user = browser.json("GET", told["userinfo_endpoint"].as_str().unwrap(), token, &Value::Null).expect(200).json();
    assert_eq!(user["sub"], claims["sub"]);
    Ok(user)
}
