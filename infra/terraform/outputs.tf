output "store" {
  description = "What --store takes."
  value       = trimsuffix("s3://${aws_s3_bucket.store.bucket}/${var.prefix}", "/")
}

output "queue" {
  description = "What `productshot listen --queue` takes."
  value       = aws_sqs_queue.photos.url
}

output "roles" {
  description = "ARN of each process's role, for the annotation eks.amazonaws.com/role-arn of its service account."
  value       = { for name, role in aws_iam_role.process : name => role.arn }
}
