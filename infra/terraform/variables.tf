variable "bucket" {
  description = "Name of the bucket to make."
  type        = string
}

variable "prefix" {
  description = "Prefix of the store in the bucket, empty or ending with a slash, as in --store s3://bucket/prefix."
  type        = string
  default     = ""

  validation {
    condition     = var.prefix == "" || endswith(var.prefix, "/")
    error_message = "The prefix is empty or ends with a slash."
  }
}

variable "photos" {
  description = "The catalog's prefix of photos."
  type        = string
  default     = "photos/"

  validation {
    condition     = endswith(var.photos, "/")
    error_message = "The prefix of the photos ends with a slash."
  }
}

variable "nights_days" {
  description = "Days that reports of nights are kept; more than night.keep_nights of every catalog, which gc reads."
  type        = number
  default     = 90
}

variable "oidc_provider_arn" {
  description = "ARN of the cluster's OIDC provider, whose service accounts take the roles."
  type        = string
}

variable "oidc_issuer" {
  description = "The provider's issuer without https://."
  type        = string
}

variable "namespace" {
  description = "Kubernetes namespace of the service accounts productshot-cpu, -gpu, -listen, -gc and -review."
  type        = string
  default     = "productshot"
}
