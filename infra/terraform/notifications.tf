# Photos that come, change or go are told to a queue, which `productshot listen --queue` reads. The filter matters: the
# receiver's own small puts in state/ would be told too.

resource "aws_sqs_queue" "photos" {
  name                       = "${var.bucket}-photos"
  message_retention_seconds  = 345600
  visibility_timeout_seconds = 60
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.failed.arn
    maxReceiveCount     = 100
  })
}

resource "aws_sqs_queue" "failed" {
  name                      = "${var.bucket}-photos-failed"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

data "aws_caller_identity" "here" {}

data "aws_iam_policy_document" "queue" {
  statement {
    sid       = "BucketTells"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.photos.arn]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_s3_bucket.store.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

resource "aws_sqs_queue_policy" "photos" {
  queue_url = aws_sqs_queue.photos.id
  policy    = data.aws_iam_policy_document.queue.json
}

resource "aws_s3_bucket_notification" "photos" {
  bucket = aws_s3_bucket.store.id

  queue {
    queue_arn     = aws_sqs_queue.photos.arn
    events        = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    filter_prefix = "${var.prefix}${var.photos}"
  }

  depends_on = [aws_sqs_queue_policy.photos]
}
