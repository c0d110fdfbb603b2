//! A service's `build` → a request. Pure.

use std::collections::BTreeSet;

use super::{Dockerfile, Further, Request, Source};
use crate::error::{Context, Error, Result};
use crate::model::effective::image_name;
use crate::model::types::{Build, FileReference, Project, Service};
use crate::reference::Reference;

/// What is asked for beside what the project says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    pub no_cache: bool,
    pub pull: bool,
    pub push: bool,
    /// Arguments that win over the project's.
    pub args: Vec<(String, String)>,
    pub ssh: Vec<String>,
    /// Attestations with their parameters.
    pub attest: Vec<(String, String)>,
    /// Arguments that the project's win over: proxies.
    pub proxies: Vec<(String, String)>,
    /// Whether the image is for all platforms of the service. Else it is for the one that the service runs on.
    pub all_platforms: bool,
}

/// The request of a service that is built.
///
/// Errors: what can't be a name of an image; a secret that isn't there.
pub fn request(
    project: &Project,
    name: &str,
    service: &Service,
    build: &Build,
    options: &Options,
) -> Result<Request> {
    let own = image_name(project, name, service);
    let names = std::iter::once(&own).chain(&build.tags).map(|name| Ok(Reference::parse(name)?.full()));
    let context = Source::of(build.context.as_deref().unwrap_or("."));
    let secrets = build.secrets.iter().map(|secret| of_secret(project, secret));
    let (secrets, environment): (Vec<String>, Vec<_>) =
        secrets.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let mut allow = build.entitlements.clone();
    allow.extend(build.privileged.then(|| "security.insecure".to_owned()));
    let attest = [("provenance", &build.provenance), ("sbom", &build.sbom)];
    let attest = attest
        .into_iter()
        .filter_map(|(kind, asked)| Some((kind.to_owned(), attestation(asked.as_deref()?)?)));
    Ok(Request {
        names: names.collect::<Result<_>>()?,
        dockerfile: dockerfile(build, &context),
        context,
        target: build.target.clone(),
        args: args(build, options),
        labels: labels(project, name, build),
        contexts: build
            .additional_contexts
            .iter()
            .map(|(key, source)| Ok((key.clone(), further(project, source)?)))
            .collect::<Result<_>>()?,
        platforms: platforms(service, build, options),
        cache_from: build.cache_from.clone(),
        cache_to: build.cache_to.clone(),
        no_cache: build.no_cache || options.no_cache,
        no_cache_filter: build.no_cache_filter.clone(),
        pull: build.pull || options.pull,
        network: build.network.clone(),
        hosts: build.extra_hosts.clone(),
        shm_bytes: build.shm_size.map(|size| size.0),
        ulimits: build
            .ulimits
            .iter()
            .map(|(name, limit)| format!("{name}={}:{}", limit.soft, limit.hard))
            .collect(),
        secrets,
        ssh: build.ssh.iter().chain(&options.ssh).cloned().collect(),
        allow,
        attest: if options.attest.is_empty() { attest.collect() } else { options.attest.clone() },
        push: options.push && service.image.is_some(),
        environment: environment.into_iter().flatten().collect(),
        ..Request::default()
    })
}

/// The services that are built, each behind those whose images are among its contexts. These are built, too.
///
/// Errors: services that are each other's contexts; a context that isn't built.
pub fn in_order(project: &Project, wanted: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut order = Vec::new();
    for name in wanted {
        visit(project, name, &mut Vec::new(), &mut order)?;
    }
    Ok(order)
}

fn visit(project: &Project, name: &str, path: &mut Vec<String>, order: &mut Vec<String>) -> Result<()> {
    if order.iter().any(|done| done == name) {
        return Ok(());
    }
    if path.iter().any(|waits| waits == name) {
        return Err(Error::new(format!(
            "services.{name}.build: is built from itself: {} → {name}",
            path.join(" → ")
        )));
    }
    let Some(build) = project.services.get(name).and_then(|service| service.build.as_ref()) else {
        return Ok(());
    };
    path.push(name.to_owned());
    for source in build.additional_contexts.values() {
        if let Some(of) = source.strip_prefix("service:") {
            visit(project, of, path, order)?;
        }
    }
    path.pop();
    order.push(name.to_owned());
    Ok(())
}

fn dockerfile(build: &Build, context: &Source) -> Dockerfile {
    if let Some(text) = &build.dockerfile_inline {
        return Dockerfile::Text(text.clone());
    }
    let file = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    match context {
        Source::Directory(directory) => Dockerfile::File(directory.join(file)),
        Source::Elsewhere(_) => Dockerfile::File(file.into()),
    }
}

fn args(build: &Build, options: &Options) -> Vec<(String, String)> {
    let said = build.args.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    let mut args: Vec<(String, String)> = Vec::new();
    for (name, value) in options.proxies.iter().cloned().chain(said).chain(options.args.iter().cloned()) {
        args.retain(|(earlier, _)| *earlier != name);
        args.push((name, value));
    }
    args
}

/// docker compose's, by which an image's project is known.
fn labels(project: &Project, name: &str, build: &Build) -> Vec<(String, String)> {
    let own = [("project", project.name.as_str()), ("service", name)];
    let own = own.map(|(key, value)| (format!("com.docker.compose.{key}"), value.to_owned()));
    let said = build.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    said.chain(own).collect()
}

fn platforms(service: &Service, build: &Build, options: &Options) -> Vec<String> {
    match &service.platform {
        _ if options.all_platforms && !build.platforms.is_empty() => build.platforms.clone(),
        Some(platform) => vec![platform.clone()],
        None => Vec::new(),
    }
}

fn further(project: &Project, source: &str) -> Result<Further> {
    let Some(name) = source.strip_prefix("service:") else { return Ok(Further::of(source)) };
    let service = project.services.get(name).ok_or_else(|| Error::new(format!("no such service: {name}")))?;
    Ok(Further::Image(Reference::parse(&image_name(project, name, service))?.full()))
}

/// What `--provenance` and `--sbom` ask for; false: none.
pub fn attestation(asked: &str) -> Option<String> {
    match asked {
        "false" => None,
        "true" | "" => Some(String::new()),
        parameters => Some(parameters.to_owned()),
    }
}

/// A secret in buildctl's words, and the variable that it is in.
fn of_secret(project: &Project, reference: &FileReference) -> Result<(String, Option<(String, String)>)> {
    let source = &reference.source;
    let secret = project.secrets.get(source);
    let secret =
        secret.ok_or_else(|| Error::new("not in the project")).at(format_args!("secret {source}"))?;
    let id = format!("id={}", reference.target.as_ref().unwrap_or(source));
    match (&secret.file, &secret.environment) {
        (Some(file), _) => Ok((super::arguments::csv(&[id, format!("src={file}")]), None)),
        (None, Some(variable)) => {
            let value = project.environment.get(variable).ok_or_else(|| {
                Error::new(format!(
                    "environment variable \"{variable}\" required by secret \"{source}\" is not set"
                ))
            })?;
            let word = super::arguments::csv(&[id, format!("env={variable}")]);
            Ok((word, Some((variable.clone(), value.clone()))))
        }
        (None, None) => Err(Error::new(format!("secret {source}: a build needs its file or its variable"))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::build::arguments::{Exporter, Staged, words};
    use crate::model::load::{Files, load};
    use crate::model::request;

    struct Text(&'static str);

    impl Files for Text {
        fn read(&self, file: &Path) -> std::io::Result<String> {
            let is_it = file == Path::new("/srv/shop/compose.yaml");
            is_it.then(|| self.0.to_owned()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        }
    }

    fn project(text: &'static str) -> Project {
        let environment = [("TOKEN".to_owned(), "t".to_owned())].into();
        let request = request::Request { here: "/srv/shop".into(), environment, ..Default::default() };
        load(&Text(text), &request).unwrap().project
    }

    fn of(project: &Project, name: &str, options: &Options) -> Request {
        let service = &project.services[name];
        request(project, name, service, service.build.as_ref().unwrap(), options).unwrap()
    }

    const SHOP: &str = "
services:
  base: {build: {context: base, dockerfile_inline: FROM scratch}}
  web:
    image: shop/web:2
    platform: linux/amd64
    build:
      context: web
      dockerfile: ../Other
      args: {A: one, B: }
      additional_contexts: {base: 'service:base', shared: shared}
      extra_hosts: ['six=[2001:db8::1]']
      labels: {l: v}
      network: host
      no_cache: true
      platforms: [linux/amd64, linux/arm64]
      privileged: true
      pull: true
      provenance: mode=max
      sbom: false
      secrets: [token, {source: file, target: other}]
      shm_size: 1k
      ssh: [default]
      tags: ['shop/web:latest']
      target: stage
      ulimits: {nofile: {soft: 1, hard: 2}}
  far: {build: {context: 'https://example.com/a.git', dockerfile: sub/Dockerfile}}
secrets: {token: {environment: TOKEN}, file: {file: ./secret}}
";

    #[test]
    fn each_field_of_build_reaches_the_request() {
        let project = project(SHOP);
        let options = Options {
            args: vec![("A".into(), "two".into())],
            proxies: vec![("A".into(), "p".into()), ("http_proxy".into(), "q".into())],
            all_platforms: true,
            ..Options::default()
        };
        let request = of(&project, "web", &options);
        assert_eq!(request.environment, [("TOKEN".to_owned(), "t".to_owned())]);
        let words = words(&request, &Staged::default(), Exporter::Shared).unwrap().join(" ");
        let expected = "--frontend dockerfile.v0 --local context=/srv/shop/web --local dockerfile=/srv/shop/web/.. \
             --opt filename=Other --opt target=stage --opt build-arg:http_proxy=q --opt build-arg:A=two \
             --opt label:l=v --opt label:com.docker.compose.project=shop --opt label:com.docker.compose.service=web \
             --opt attest:provenance=mode=max --opt platform=linux/amd64,linux/arm64 --no-cache \
             --opt force-network-mode=host --opt add-hosts=six=2001:db8::1 --opt shm-size=1024 \
             --opt ulimit=nofile=1:2 --opt image-resolve-mode=pull \
             --opt context:base=docker-image://docker.io/library/shop-base:latest \
             --opt context:shared=local:further-1 --local further-1=/srv/shop/shared \
             --secret id=token,env=TOKEN --secret id=other,src=/srv/shop/secret --ssh default \
             --allow network.host --allow security.insecure \
             --output type=image,\"name=docker.io/shop/web:2,docker.io/shop/web:latest\"";
        assert_eq!(words, expected);
        let running = of(&project, "web", &Options::default());
        assert_eq!(running.platforms, ["linux/amd64"]);
    }

    #[test]
    fn what_is_fetched_and_what_is_inline_is_told_apart() {
        let project = project(SHOP);
        let far = of(&project, "far", &Options::default());
        assert_eq!(far.context, Source::Elsewhere("https://example.com/a.git".into()));
        assert_eq!(far.dockerfile, Dockerfile::File("sub/Dockerfile".into()));
        assert_eq!(
            of(&project, "base", &Options::default()).dockerfile,
            Dockerfile::Text("FROM scratch".into())
        );
    }

    #[test]
    fn what_others_are_built_from_is_built_first() {
        let wanted = BTreeSet::from(["web".to_owned()]);
        assert_eq!(in_order(&project(SHOP), &wanted).unwrap(), ["base", "web"]);
        let circle = "
services:
  a: {build: {additional_contexts: {x: 'service:b'}}}
  b: {build: {additional_contexts: {x: 'service:a'}}}
";
        let wanted = BTreeSet::from(["a".to_owned()]);
        assert!(in_order(&project(circle), &wanted).unwrap_err().to_string().contains("a → b → a"));
    }
}
