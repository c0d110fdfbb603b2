//! What a service's old fields and those of `deploy` say together.

use super::types::{Project, Service};
use super::values::Restart;

/// The name of a service's image: its own, or one of the project and the service.
pub fn image_name(project: &Project, name: &str, service: &Service) -> String {
    service.image.clone().unwrap_or_else(|| format!("{}-{name}", project.name))
}

impl Service {
    /// How many containers it has.
    pub fn replicas(&self) -> u32 {
        self.scale.or(self.deploy.as_ref().and_then(|deploy| deploy.replicas)).unwrap_or(1)
    }

    /// How large its shared memory is, in bytes. 0 is no size.
    pub fn shm_bytes(&self) -> i64 {
        const DEFAULT: i64 = 64 << 20;
        self.shm_size.map(|size| size.0).filter(|size| *size != 0).unwrap_or(DEFAULT)
    }

    /// What happens when a container ends. As in docker compose, `deploy.restart_policy` goes before `restart`.
    pub fn restart_policy(&self) -> Restart {
        let Some(policy) = self.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref()) else {
            return self.restart.unwrap_or_default();
        };
        let times = policy.max_attempts.map(|times| u32::try_from(times).unwrap_or(u32::MAX));
        match policy.condition.as_deref() {
            Some("any" | "always") => Restart::Always,
            Some("unless-stopped") => Restart::UnlessStopped,
            Some("on-failure") => Restart::OnFailure(times.filter(|times| *times > 0)),
            _ => Restart::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Restart;
    use crate::model::types::{Deploy, RestartPolicy, Service};

    #[test]
    fn the_restart_policy_of_deploy_goes_first() {
        let mut service = Service { restart: Some(Restart::UnlessStopped), ..Service::default() };
        assert_eq!(service.restart_policy(), Restart::UnlessStopped);
        let condition = Some("on-failure".to_owned());
        let policy = RestartPolicy { condition, max_attempts: Some(3), ..RestartPolicy::default() };
        service.deploy =
            Some(Deploy { restart_policy: Some(policy), replicas: Some(2), ..Deploy::default() });
        assert_eq!((service.restart_policy(), service.replicas()), (Restart::OnFailure(Some(3)), 2));
    }
}
